package dev.intarsia.runtime;

import dev.intarsia.NativeLibraryException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** One attempt to find, load and check the library; {@link NativeLibrary} says in which order. */
final class LibraryLoader {
    static final String PROPERTY = "intarsia.library";
    static final String ENVIRONMENT = "INTARSIA_LIBRARY";

    /** Opens a resource of the class path; null if there is none. */
    @FunctionalInterface
    interface Resources {
        InputStream open(String name);
    }

    private final UnaryOperator<String> property;
    private final UnaryOperator<String> environment;
    private final Resources resources;
    private final Consumer<Path> linker;
    private final LibraryProbe probe;
    private final LibraryPlaces places;
    /** Each place looked at and why it did not do, one a line. */
    private final List<String> tried = new ArrayList<>();
    private Throwable lastCause;

    /**
     * @param property    system properties, null for one that is not set
     * @param environment environment variables, likewise
     * @param resources   the class path
     * @param linker      loads an absolute path or throws {@link UnsatisfiedLinkError}
     * @param probe       what was loaded
     */
    LibraryLoader(
            UnaryOperator<String> property,
            UnaryOperator<String> environment,
            Resources resources,
            Consumer<Path> linker,
            LibraryProbe probe) {
        this.property = property;
        this.environment = environment;
        this.resources = resources;
        this.linker = linker;
        this.probe = probe;
        places = new LibraryPlaces(property, environment);
    }

    LibraryInfo load() {
        // A library that was named is the one that is meant: if it does not load, no other is taken in its place.
        Optional<LibraryInfo> found = named(LibrarySource.PROPERTY, property.apply(PROPERTY));
        if (found.isEmpty() && tried.isEmpty()) {
            found = named(LibrarySource.ENVIRONMENT, environment.apply(ENVIRONMENT));
        }
        if (found.isEmpty() && tried.isEmpty()) {
            found = packaged();
        }
        return found.orElseThrow(() -> new NativeLibraryException(
                "The native library of Intarsia cannot be loaded. Tried:\n  " + String.join("\n  ", tried) + "\n"
                        + advice(), lastCause));
    }

    private Optional<LibraryInfo> named(LibrarySource source, String path) {
        if (path == null || path.isBlank()) {
            return Optional.empty();
        }
        try {
            Path file = Path.of(path);
            if (!file.isAbsolute()) {
                return miss(source + " = " + path + ": is not an absolute path", null);
            }
            if (!Files.isRegularFile(file)) {
                return miss(source + " = " + path + ": is no file", null);
            }
            return link(source, file);
        } catch (InvalidPathException e) {
            return miss(source + " = " + path + ": is not a path: " + e.getMessage(), e);
        }
    }

    private Optional<LibraryInfo> packaged() {
        String resource = places.resource(System.mapLibraryName("intarsia"));
        byte[] content;
        try (InputStream stream = resources.open(resource)) {
            if (stream == null) {
                return miss(LibrarySource.PACKAGED + " " + resource + ": is not on the class path, where the jar"
                        + " intarsia-native of this platform has it", null);
            }
            content = stream.readAllBytes();
        } catch (IOException e) {
            return miss(LibrarySource.PACKAGED + " " + resource + ": cannot be read: " + e, e);
        }
        LibraryCache cache = new LibraryCache(content, System.mapLibraryName("intarsia"));
        for (Path directory : places.cacheDirectories()) {
            Optional<LibraryInfo> found = fromCache(cache, directory);
            if (found.isPresent()) {
                return found;
            }
        }
        return fromTemporaryDirectory(cache);
    }

    private Optional<LibraryInfo> fromCache(LibraryCache cache, Path directory) {
        Path file;
        try {
            file = cache.place(directory);
        } catch (IOException e) {
            return miss(LibrarySource.PACKAGED + " in " + directory + ": " + e, e);
        }
        return link(LibrarySource.PACKAGED, file);
    }

    /** The last resort is private and leaves nothing behind: a loaded library needs its file no longer. */
    private Optional<LibraryInfo> fromTemporaryDirectory(LibraryCache cache) {
        String parent = property.apply("java.io.tmpdir");
        Path directory;
        try {
            directory = Files.createTempDirectory(Path.of(parent).toAbsolutePath(), "intarsia-");
        } catch (IOException | InvalidPathException e) {
            return miss(LibrarySource.PACKAGED + " in a new directory of " + parent + ": " + e, e);
        }
        try {
            return fromCache(cache, directory);
        } finally {
            cache.remove(directory);
        }
    }

    private Optional<LibraryInfo> link(LibrarySource source, Path file) {
        try {
            linker.accept(file);
        } catch (UnsatisfiedLinkError e) {
            String reason = String.valueOf(e.getMessage()); // as a rule it begins with the file
            return miss(source + " = " + (reason.contains(file.toString()) ? reason : file + ": " + reason), e);
        }
        // The process has loaded it now, and would find its functions first: there is no way on from here.
        AbiGuard.mismatch(probe).ifPresent(mismatch -> {
            throw new NativeLibraryException("The native library at " + file + " (" + source + ") does not fit the"
                    + " bindings: " + mismatch + ". Use the one that was built together with these classes"
                    + (source == LibrarySource.PACKAGED
                            ? ": intarsia, intarsia-bindings and intarsia-native must be of one version"
                            : ", or unset the " + source));
        });
        return Optional.of(new LibraryInfo(file, source, probe.version(), probe.buildId()));
    }

    private Optional<LibraryInfo> miss(String reason, Throwable cause) {
        tried.add(reason);
        lastCause = cause;
        return Optional.empty();
    }

    private String advice() {
        return "Name a library that loads with -D" + PROPERTY + "=/absolute/path/libintarsia.so or " + ENVIRONMENT
                + ", or unset them and put intarsia-native on the class path.";
    }
}
