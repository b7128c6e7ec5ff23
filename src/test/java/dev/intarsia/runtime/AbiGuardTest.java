package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.ffi.Header;
import dev.intarsia.ffi.Intarsia;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The committed bindings against the library and the header: nothing of the C ABI may drift. */
class AbiGuardTest {
    private static final String OTHER_HEADER = "it was built from another header: ";
    private static final LibraryProbe LIBRARY = new BindingsProbe();

    @BeforeAll
    static void load() {
        NativeLibrary.load();
    }

    @Test
    void theLibraryFits() {
        assertThat(AbiGuard.mismatch(LIBRARY)).isEmpty();
    }

    @Test
    void structsFieldsAndSignaturesAreThoseOfTheCompiler() {
        assertThat(AbiGuard.bindings()).isEqualTo(AbiGuard.entries(LIBRARY.abiTable()));
    }

    @Test
    void everyLineOfTheTableIsAnEntry() {
        assertThat(LIBRARY.abiTable().lines()).allMatch(line -> line.matches("struct [a-z_]+ \\d+"
                + "|field [a-z_]+\\.[a-z_]+ \\d+ \\d+|function [a-z_]+ [vilfdp]\\([ilfdp]*\\)"));
        assertThat(AbiGuard.entries(LIBRARY.abiTable())).hasSize((int) LIBRARY.abiTable().lines().count());
    }

    @Test
    void everyFunctionResolvesAndHasTheDescriptorOfTheTable() throws ReflectiveOperationException {
        Map<String, String> signatures = new TreeMap<>();
        for (Method method : Intarsia.class.getMethods()) {
            if (method.getName().endsWith("$descriptor")) {
                String function = method.getName().replace("$descriptor", "");
                signatures.put(function, signature((FunctionDescriptor) method.invoke(null)));
                MemorySegment address = (MemorySegment) Intarsia.class.getMethod(function + "$address").invoke(null);
                assertThat(address.address()).as(function).isNotZero();
                assertThat(LIBRARY.exports(function)).as(function).isTrue();
            }
        }
        assertThat(signatures).isEqualTo(names("function ", AbiGuard.entries(LIBRARY.abiTable())));
    }

    @Test
    void headerBindingsAndLibraryHaveOneHash() throws Exception {
        byte[] header = Files.readAllBytes(root().resolve("native/include/intarsia.h"));
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(header);
        assertThat(Header.SHA256).isEqualTo(HexFormat.of().formatHex(hash));
        assertThat(LIBRARY.headerHash()).isEqualTo(Header.SHA256);
    }

    @Test
    void theReviewedListIsTheTable() throws IOException {
        Map<String, String> table = AbiGuard.entries(LIBRARY.abiTable());
        assertThat(included("--include-function ")).isEqualTo(names("function ", table).keySet());
        assertThat(included("--include-struct ")).isEqualTo(names("struct ", table).keySet());
    }

    @Test
    void aLibraryWithoutOurFunctionsIsNone() {
        FakeLibrary library = new FakeLibrary();
        library.hidden.add("intarsia_abi_table");
        assertThat(AbiGuard.mismatch(library))
                .hasValue("it exports no intarsia_abi_table, so it is no Intarsia library");
    }

    @Test
    void anotherVersionIsNamed() {
        FakeLibrary library = new FakeLibrary();
        library.abiVersion = 7;
        assertThat(AbiGuard.mismatch(library))
                .hasValue(OTHER_HEADER + "its ABI version is 7, the bindings' is " + Intarsia.INTARSIA_ABI_VERSION());
    }

    @Test
    void anotherHeaderIsNamed() {
        FakeLibrary library = new FakeLibrary();
        library.headerHash = "0".repeat(64);
        assertThat(AbiGuard.mismatch(library).orElseThrow()).contains("0".repeat(64)).contains(Header.SHA256);
    }

    @Test
    void everyDifferenceOfTheTablesIsNamed() {
        FakeLibrary library = new FakeLibrary();
        library.table.put("struct intarsia_sampling", "40");
        library.table.put("field intarsia_sampling.seed", "24 8");
        library.table.remove("field intarsia_kv_options.blocks");
        library.table.put("function intarsia_sample", "i(pi)");
        library.table.put("function intarsia_unknown", "i(p)");
        String mismatch = AbiGuard.mismatch(library).orElseThrow();
        assertThat(mismatch).startsWith(OTHER_HEADER);
        assertThat(mismatch.substring(OTHER_HEADER.length()).split("; ")).containsExactlyInAnyOrder(
                "struct intarsia_sampling is 40, in the bindings 48",
                "field intarsia_sampling.seed is 24 8, in the bindings 16 8",
                "field intarsia_kv_options.blocks is in the bindings alone",
                "function intarsia_sample is i(pi), in the bindings i(p)",
                "function intarsia_unknown is in the library alone");
    }

    @Test
    void aFittingTableIsNoDifference() {
        assertThat(AbiGuard.mismatch(new FakeLibrary())).isEmpty();
    }

    private static String signature(FunctionDescriptor descriptor) {
        String arguments = descriptor.argumentLayouts().stream()
                .map(layout -> Character.toString(AbiGuard.letter(((ValueLayout) layout).carrier())))
                .collect(Collectors.joining());
        char result = descriptor.returnLayout()
                .map(layout -> AbiGuard.letter(((ValueLayout) layout).carrier()))
                .orElse('v');
        return result + "(" + arguments + ")";
    }

    private static Map<String, String> names(String kind, Map<String, String> table) {
        Map<String, String> names = new TreeMap<>();
        table.forEach((entry, rest) -> {
            if (entry.startsWith(kind)) {
                names.put(entry.substring(kind.length()), rest);
            }
        });
        return names;
    }

    private static Set<String> included(String option) throws IOException {
        Set<String> names = new TreeSet<>();
        for (String line : Files.readAllLines(root().resolve("bindings/includes.txt"))) {
            if (line.startsWith(option)) {
                names.add(line.substring(option.length()).strip());
            }
        }
        return names;
    }

    /** The checkout: the first directory above the working directory that holds the header. */
    private static Path root() {
        Path directory = Path.of("").toAbsolutePath();
        while (!Files.exists(directory.resolve("native/include/intarsia.h"))) {
            directory = directory.getParent();
            assertThat(directory).as("a directory above the working directory holds native/include").isNotNull();
        }
        return directory;
    }
}
