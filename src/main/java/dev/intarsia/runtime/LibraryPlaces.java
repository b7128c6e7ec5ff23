package dev.intarsia.runtime;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.UnaryOperator;

/**
 * Where native libraries lie on the class path and are extracted to.
 *
 * @param property    system properties, null for one that is not set
 * @param environment environment variables, likewise
 */
record LibraryPlaces(UnaryOperator<String> property, UnaryOperator<String> environment) {

    /** The name of a library's resource, such as {@code META-INF/intarsia/linux-x86_64/libintarsia.so}. */
    String resource(String file) {
        return "META-INF/intarsia/" + platform() + "/" + file;
    }

    /** Such as linux-x86_64, in the words of the native build. */
    private String platform() {
        String system = property.apply("os.name").toLowerCase(Locale.ROOT);
        String processor = property.apply("os.arch").toLowerCase(Locale.ROOT);
        return (system.startsWith("mac") ? "darwin" : system.replace(' ', '-')) + "-"
                + (processor.equals("amd64") ? "x86_64" : processor.equals("arm64") ? "aarch64" : processor);
    }

    /** {@code $XDG_CACHE_HOME}, which counts only if absolute, then {@code ~/.cache}. */
    List<Path> cacheDirectories() {
        List<Path> directories = new ArrayList<>();
        addCache(directories, environment.apply("XDG_CACHE_HOME"), "");
        addCache(directories, property.apply("user.home"), ".cache");
        return directories;
    }

    private static void addCache(List<Path> directories, String parent, String child) {
        if (parent == null || parent.isBlank()) {
            return;
        }
        try {
            Path cache = Path.of(parent, child);
            Path directory = cache.resolve("intarsia").resolve("native");
            if (cache.isAbsolute() && !directories.contains(directory)) {
                directories.add(directory);
            }
        } catch (InvalidPathException e) {
            // no path, so no directory either
        }
    }
}
