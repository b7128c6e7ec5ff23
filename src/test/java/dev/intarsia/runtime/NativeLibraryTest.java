package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.intarsia.NativeLibraryException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLibraryTest {

    @TempDir
    private Path temp;

    @Test
    void theLoadedLibraryIsDescribed() {
        LibraryInfo info = NativeLibrary.describe();
        assertThat(info.path()).isAbsolute();
        assertThat(info.source()).isNotNull();
        assertThat(info.version()).matches("\\d+\\.\\d+\\.\\d+.*");
        assertThat(info.buildId()).matches("[0-9a-f]{64}");
        assertThat(NativeLibrary.describe()).isSameAs(info);
    }

    // ------------------------------------------------------------------------------------------------------------ once

    @Test
    void manyThreadsLoadOnce() throws Exception {
        AtomicInteger loads = new AtomicInteger();
        NativeLibrary library = new NativeLibrary(() -> {
            loads.incrementAndGet();
            return new LibraryInfo(temp, LibrarySource.PACKAGED, "1", "2");
        });
        try (ExecutorService pool = Executors.newFixedThreadPool(8)) {
            List<Future<LibraryInfo>> infos = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                infos.add(pool.submit(library::get));
            }
            for (Future<LibraryInfo> info : infos) {
                assertThat(info.get().version()).isEqualTo("1");
            }
        }
        assertThat(loads).hasValue(1);
    }

    @Test
    void aFailureIsRememberedAndThrownAnew() {
        AtomicInteger loads = new AtomicInteger();
        NativeLibrary library = new NativeLibrary(() -> {
            throw new NativeLibraryException("attempt " + loads.incrementAndGet());
        });
        Throwable first = failure(library);
        Throwable second = failure(library);
        assertThat(first).hasMessage("attempt 1");
        assertThat(second).hasMessage("attempt 1").isNotSameAs(first).hasCause(first);
        assertThat(loads).hasValue(1);
    }

    private static Throwable failure(NativeLibrary library) {
        try {
            throw new AssertionError("loaded " + library.get());
        } catch (NativeLibraryException e) {
            return e;
        }
    }

    // ------------------------------------------------------------------------------------------------- whole processes

    @Test
    void withoutTheFlagTheMessageNamesIt() throws Exception {
        for (String mode : new String[] {"deny", "warn"}) {
            ChildJvm.Result result = ChildJvm.start(Map.of(), "--illegal-native-access=" + mode).await();
            assertThat(result.failed()).as(mode).isTrue();
            assertThat(result.output()).as(mode)
                    .contains("Native access is not enabled")
                    .contains("--enable-native-access=ALL-UNNAMED")
                    .doesNotContain("WARNING");
        }
    }

    @Test
    void aChildFindsTheLibraryByPropertyAndByEnvironment() throws Exception {
        Path copy = copyOfTheLibrary();
        ChildJvm.Result byProperty =
                ChildJvm.start(Map.of(), ChildJvm.NATIVE_ACCESS, "-Dintarsia.library=" + copy).await();
        assertThat(byProperty).isEqualTo(expected(copy, LibrarySource.PROPERTY));
        ChildJvm.Result byEnvironment =
                ChildJvm.start(Map.of(LibraryLoader.ENVIRONMENT, copy.toString()), ChildJvm.NATIVE_ACCESS).await();
        assertThat(byEnvironment).isEqualTo(expected(copy, LibrarySource.ENVIRONMENT));
    }

    @Test
    void manyProcessesShareOneExtractedCopy() throws Exception {
        assumeThat(getClass().getResource("/META-INF/intarsia"))
                .as("a packaged library is on the class path")
                .isNotNull();
        Map<String, String> environment = Map.of("XDG_CACHE_HOME", temp.toString());
        List<ChildJvm> children = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            children.add(ChildJvm.start(environment, ChildJvm.NATIVE_ACCESS));
        }
        for (ChildJvm child : children) {
            ChildJvm.Result result = child.await();
            assertThat(result.failed()).as(result.output()).isFalse();
            assertThat(result.output())
                    .contains(temp + "/intarsia/native/")
                    .contains(LibrarySource.PACKAGED.toString());
        }
        try (Stream<Path> tree = Files.walk(temp)) {
            assertThat(tree.filter(Files::isRegularFile)).hasSize(1);
        }
    }

    @Test
    void aFileThatIsNoLibraryIsListedWithTheLinkersReason() throws Exception {
        Path text = Files.writeString(temp.resolve("text.so"), "not a library, however long the text may be");
        ChildJvm.Result result =
                ChildJvm.start(Map.of(), ChildJvm.NATIVE_ACCESS, "-Dintarsia.library=" + text).await();
        assertThat(result.failed()).isTrue();
        assertThat(result.output()).contains("system property intarsia.library = " + text + ": ");
    }

    @Test
    void aLibraryOfAnotherProjectIsRefused() throws Exception {
        Path other = compile("int other(void) { return 1; }");
        ChildJvm.Result result =
                ChildJvm.start(Map.of(), ChildJvm.NATIVE_ACCESS, "-Dintarsia.library=" + other).await();
        assertThat(result.failed()).isTrue();
        assertThat(result.output()).contains(other.toString()).contains("it exports no intarsia_abi_version");
    }

    @Test
    void aLibraryOfAnotherVersionIsRefused() throws Exception {
        Path other = compile("""
                unsigned intarsia_abi_version(void) { return 4711; }
                const char *intarsia_version(void) { return "9.9.9"; }
                const char *intarsia_build_id(void) { return "-"; }
                const char *intarsia_header_hash(void) { return "-"; }
                const char *intarsia_abi_table(void) { return ""; }
                """);
        ChildJvm.Result result =
                ChildJvm.start(Map.of(), ChildJvm.NATIVE_ACCESS, "-Dintarsia.library=" + other).await();
        assertThat(result.failed()).isTrue();
        assertThat(result.output()).contains(other.toString()).contains("ABI version is 4711");
    }

    private static ChildJvm.Result expected(Path path, LibrarySource source) {
        LibraryInfo own = NativeLibrary.describe();
        return new ChildJvm.Result(
                false, String.join("\n", path.toString(), source.toString(), own.version(), own.buildId()) + "\n");
    }

    /** Skipped where the library of this process came from a temporary directory, which is gone. */
    private Path copyOfTheLibrary() throws IOException {
        Path own = NativeLibrary.describe().path();
        assumeThat(own).exists();
        return Files.copy(own, temp.resolve("copy.so"));
    }

    private Path compile(String source) throws Exception {
        Path code = Files.writeString(temp.resolve("other.c"), source);
        Path library = temp.resolve("other.so");
        try {
            Process cc = new ProcessBuilder("cc", "-shared", "-fPIC", "-o", library.toString(), code.toString())
                    .inheritIO()
                    .start();
            assertThat(cc.waitFor(60, TimeUnit.SECONDS)).isTrue();
            assertThat(cc.exitValue()).isZero();
        } catch (IOException e) {
            assumeThat(e).as("no C compiler named cc is on the PATH").isNull();
        }
        return library;
    }
}
