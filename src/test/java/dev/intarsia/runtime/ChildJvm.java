package dev.intarsia.runtime;

import dev.intarsia.NativeLibraryException;
import dev.intarsia.ffi.Intarsia;
import java.io.File;
import java.io.IOException;
import java.net.JarURLConnection;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** A JVM of its own that loads the native library and says what came of it: a process can load only one. */
final class ChildJvm {
    static final String NATIVE_ACCESS = "--enable-native-access=ALL-UNNAMED";
    private static final int FAILED = 3;

    private final Process process;

    private ChildJvm(Process process) {
        this.process = process;
    }

    /** What the child printed; {@code failed} if it got a {@link NativeLibraryException}. */
    record Result(boolean failed, String output) {}

    /** Prints path, source, version and build id, or the message of the exception. */
    public static void main(String[] arguments) {
        try {
            LibraryInfo info = NativeLibrary.describe();
            System.out.println(info.path() + "\n" + info.source() + "\n" + info.version() + "\n" + info.buildId());
        } catch (NativeLibraryException e) {
            System.out.println(e.getMessage());
            System.exit(FAILED);
        }
    }

    /**
     * Starts a child.
     *
     * @param environment added to what the child inherits, less the variables that choose a library
     */
    static ChildJvm start(Map<String, String> environment, String... options) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classPath()));
        command.addAll(List.of(options));
        command.add(ChildJvm.class.getName());
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment()
                .keySet()
                .removeAll(Set.of(LibraryLoader.ENVIRONMENT, "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"));
        builder.environment().putAll(environment);
        return new ChildJvm(builder.start());
    }

    Result await() throws Exception {
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError("the child does not end, it printed: " + output);
        }
        int code = process.exitValue();
        if (code != 0 && code != FAILED) {
            throw new AssertionError("the child ended with " + code + ": " + output);
        }
        return new Result(code == FAILED, output);
    }

    /** Where the classes that a child needs come from, whatever the class path of this JVM is made of. */
    private static String classPath() {
        Set<String> entries = new LinkedHashSet<>();
        try {
            for (Class<?> type : List.of(NativeLibrary.class, Intarsia.class, ChildJvm.class)) {
                entries.add(Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI()).toString());
            }
            URL directory = ChildJvm.class.getResource("/META-INF/intarsia");
            if (directory != null) {
                URL root = directory.openConnection() instanceof JarURLConnection jar ? jar.getJarFileURL() : null;
                entries.add((root == null ? Path.of(directory.toURI()).getParent().getParent() : Path.of(root.toURI()))
                        .toString());
            }
        } catch (IOException | URISyntaxException e) {
            throw new AssertionError(e);
        }
        return String.join(File.pathSeparator, entries);
    }
}
