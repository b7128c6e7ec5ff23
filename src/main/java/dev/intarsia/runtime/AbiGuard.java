package dev.intarsia.runtime;

import dev.intarsia.ffi.Header;
import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_attention_options;
import dev.intarsia.ffi.intarsia_compile_options;
import dev.intarsia.ffi.intarsia_device_info;
import dev.intarsia.ffi.intarsia_device_options;
import dev.intarsia.ffi.intarsia_executable_info;
import dev.intarsia.ffi.intarsia_graph_options;
import dev.intarsia.ffi.intarsia_kv_options;
import dev.intarsia.ffi.intarsia_partition_info;
import dev.intarsia.ffi.intarsia_piece_info;
import dev.intarsia.ffi.intarsia_recording_info;
import dev.intarsia.ffi.intarsia_sampler_state;
import dev.intarsia.ffi.intarsia_sampling;
import dev.intarsia.ffi.intarsia_step_options;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Compares a library with the bindings before anything else is called: ABI version, hash of the header, and the
 * library's own table of structs and functions against the generated layouts and signatures.
 */
final class AbiGuard {
    private static final List<String> SELF_DESCRIPTION = List.of("intarsia_abi_version", "intarsia_header_hash",
            "intarsia_abi_table", "intarsia_version", "intarsia_build_id");

    private AbiGuard() {}

    /** What does not fit, in one sentence without its full stop; empty if everything does. */
    static Optional<String> mismatch(LibraryProbe library) {
        for (String function : SELF_DESCRIPTION) {
            if (!library.exports(function)) {
                return Optional.of("it exports no " + function + ", so it is no Intarsia library");
            }
        }
        return otherHeader(library).map(difference -> "it was built from another header: " + difference);
    }

    private static Optional<String> otherHeader(LibraryProbe library) {
        if (library.abiVersion() != Intarsia.INTARSIA_ABI_VERSION()) {
            return Optional.of("its ABI version is " + library.abiVersion() + ", the bindings' is "
                    + Intarsia.INTARSIA_ABI_VERSION());
        }
        if (!library.headerHash().equals(Header.SHA256)) {
            return Optional.of("its intarsia.h has the SHA-256 " + library.headerHash() + ", the bindings' has "
                    + Header.SHA256);
        }
        return difference(entries(library.abiTable()), bindings());
    }

    /** The table that the bindings stand for, as {@link #entries} gives the library's. */
    static Map<String, String> bindings() {
        Map<String, String> table = new TreeMap<>();
        for (GroupLayout layout : layouts()) {
            String struct = layout.name().orElseThrow();
            table.put("struct " + struct, Long.toString(layout.byteSize()));
            for (MemoryLayout field : layout.memberLayouts()) {
                field.name().ifPresent(name -> table.put("field " + struct + "." + name, // padding has no name
                        layout.byteOffset(PathElement.groupElement(name)) + " " + field.byteSize()));
            }
        }
        for (Method method : Intarsia.class.getMethods()) {
            if (method.getName().startsWith("intarsia_") && method.getName().indexOf('$') < 0) {
                table.put("function " + method.getName(), signature(method));
            }
        }
        return table;
    }

    /** Parses {@code intarsia_abi_table()}: kind and name → the rest of the line. */
    static Map<String, String> entries(String table) {
        Map<String, String> entries = new TreeMap<>();
        table.lines().filter(line -> !line.isBlank()).forEach(line -> {
            String[] words = line.split(" ", 3);
            entries.put(words.length < 3 ? line : words[0] + " " + words[1], words.length < 3 ? "" : words[2]);
        });
        return entries;
    }

    private static Optional<String> difference(Map<String, String> library, Map<String, String> bindings) {
        List<String> differences = new ArrayList<>();
        bindings.forEach((entry, expected) -> {
            String actual = library.get(entry);
            if (actual == null) {
                differences.add(entry + " is in the bindings alone");
            } else if (!actual.equals(expected)) {
                differences.add(entry + " is " + actual + ", in the bindings " + expected);
            }
        });
        library.keySet().stream().filter(entry -> !bindings.containsKey(entry))
                .forEach(entry -> differences.add(entry + " is in the library alone"));
        return differences.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", differences));
    }

    /** The types of a generated wrapper are the carriers of its descriptor; asking for that would link the function. */
    private static String signature(Method method) {
        StringBuilder signature = new StringBuilder().append(letter(method.getReturnType())).append('(');
        for (Class<?> parameter : method.getParameterTypes()) {
            signature.append(letter(parameter));
        }
        return signature.append(')').toString();
    }

    static char letter(Class<?> carrier) {
        if (carrier == void.class) {
            return 'v';
        } else if (carrier == int.class) {
            return 'i';
        } else if (carrier == long.class) {
            return 'l';
        } else if (carrier == float.class) {
            return 'f';
        } else if (carrier == double.class) {
            return 'd';
        } else if (carrier == MemorySegment.class) {
            return 'p';
        }
        throw new IllegalArgumentException("no letter of the ABI table stands for " + carrier);
    }

    /** Every struct of the bindings. */
    private static List<GroupLayout> layouts() {
        return List.of(
                intarsia_attention_options.layout(),
                intarsia_compile_options.layout(),
                intarsia_device_info.layout(),
                intarsia_device_options.layout(),
                intarsia_executable_info.layout(),
                intarsia_graph_options.layout(),
                intarsia_kv_options.layout(),
                intarsia_partition_info.layout(),
                intarsia_piece_info.layout(),
                intarsia_recording_info.layout(),
                intarsia_sampler_state.layout(),
                intarsia_sampling.layout(),
                intarsia_step_options.layout());
    }
}
