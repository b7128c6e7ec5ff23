package dev.intarsia.runtime;

import dev.intarsia.NativeLibraryException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.UnaryOperator;

/**
 * Finds the plug-in for CUDA devices, {@code libintarsia_cuda.so}. It is asked for in this order, and the first that is there decides:
 *
 * <ol>
 *   <li>the system property {@code intarsia.cuda.library};
 *   <li>the environment variable {@code INTARSIA_CUDA_LIBRARY};
 *   <li>a file beside the library;
 *   <li>the resource {@code META-INF/intarsia/OS-ARCH/libintarsia_cuda.so}, which the jar intarsia-native with the classifier {@code cuda}
 *       has, extracted as the library is.
 * </ol>
 *
 * <p>It is loaded by the library when devices are first asked for. Where there is none, or it cannot be loaded, nothing fails: the CUDA
 * device is not available, and its note says why.
 */
final class CudaPlugin {
    static final String PROPERTY = "intarsia.cuda.library";
    static final String ENVIRONMENT = "INTARSIA_CUDA_LIBRARY";

    private static final System.Logger LOG = System.getLogger("dev.intarsia");
    private static final String FILE = System.mapLibraryName("intarsia_cuda");

    /** What the library does with the plug-in. */
    interface Library {
        /** Takes the path of the plug-in's file, which need not be there. */
        void take(Path plugin);

        /** Loads what was taken, so that its file may go. */
        void loadNow();
    }

    private final UnaryOperator<String> property;
    private final UnaryOperator<String> environment;
    private final LibraryLoader.Resources resources;
    private final LibraryPlaces places;

    /** The parameters are those of {@link LibraryLoader}. */
    CudaPlugin(
            UnaryOperator<String> property, UnaryOperator<String> environment, LibraryLoader.Resources resources) {
        this.property = property;
        this.environment = environment;
        this.resources = resources;
        places = new LibraryPlaces(property, environment);
    }

    /**
     * Hands the plug-in to the library, if there is one.
     *
     * @param loaded the library, which has not been asked for devices
     * @throws NativeLibraryException if what the property or the environment names is no path
     */
    void handTo(LibraryInfo loaded, Library library) {
        Optional<Path> named = named("system property " + PROPERTY, property.apply(PROPERTY))
                .or(() -> named("environment variable " + ENVIRONMENT, environment.apply(ENVIRONMENT)))
                .or(() -> Optional.of(loaded.path().resolveSibling(FILE)).filter(Files::isRegularFile));
        if (named.isPresent()) {
            library.take(named.get());
        } else {
            try {
                packaged(library);
            } catch (IOException | InvalidPathException e) {
                LOG.log(System.Logger.Level.WARNING, "CUDA devices are not available: the packaged " + FILE + " cannot be extracted: " + e);
            }
        }
    }

    private static Optional<Path> named(String source, String path) {
        if (path == null || path.isBlank()) {
            return Optional.empty();
        }
        try {
            return Optional.of(Path.of(path).toAbsolutePath());
        } catch (InvalidPathException e) {
            throw new NativeLibraryException(source + " = " + path + " is not a path: " + e.getMessage(), e);
        }
    }

    private void packaged(Library library) throws IOException {
        LibraryCache cache;
        try (InputStream stream = resources.open(places.resource(FILE))) {
            if (stream == null) {
                return;
            }
            cache = new LibraryCache(stream.readAllBytes(), FILE);
        }
        for (Path directory : places.cacheDirectories()) {
            try {
                library.take(cache.place(directory));
                return;
            } catch (IOException e) {
                // the next place, as for the library itself
            }
        }
        Path directory = Files.createTempDirectory(Path.of(property.apply("java.io.tmpdir")).toAbsolutePath(), "intarsia-");
        try {
            library.take(cache.place(directory));
            library.loadNow();
        } finally {
            cache.remove(directory);
        }
    }
}
