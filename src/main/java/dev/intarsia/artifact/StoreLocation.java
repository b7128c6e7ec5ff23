package dev.intarsia.artifact;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.UnaryOperator;

/**
 * Where this process keeps artifacts. A directory, or nowhere and why.
 *
 * @param directory empty if there is none
 * @param reason    why there is none; empty text if there is one
 */
record StoreLocation(Optional<Path> directory, String reason) {

    /** The directory in the system property, which wins; else the standard one. */
    static StoreLocation configured(UnaryOperator<String> property, UnaryOperator<String> environment) {
        String chosen = property.apply(ArtifactStore.PROPERTY);
        if (chosen == null || chosen.isBlank()) {
            return standard(property, environment);
        }
        try {
            return new StoreLocation(Optional.of(Path.of(chosen).toAbsolutePath()), "");
        } catch (InvalidPathException e) {
            return nowhere(ArtifactStore.PROPERTY + " is no path: " + e.getMessage());
        }
    }

    /** {@code $XDG_CACHE_HOME}, which counts only if absolute, else {@code ~/.cache}. */
    static StoreLocation standard(UnaryOperator<String> property, UnaryOperator<String> environment) {
        return absolute(environment.apply("XDG_CACHE_HOME"), "")
                .or(() -> absolute(property.apply("user.home"), ".cache"))
                .map(cache -> new StoreLocation(Optional.of(cache.resolve("intarsia").resolve("artifacts")), ""))
                .orElseGet(() -> nowhere("neither XDG_CACHE_HOME nor user.home is an absolute path;"
                        + " set " + ArtifactStore.PROPERTY + " to a directory"));
    }

    private static Optional<Path> absolute(String parent, String child) {
        try {
            return Optional.ofNullable(parent).map(path -> Path.of(path, child)).filter(Path::isAbsolute);
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }

    private static StoreLocation nowhere(String reason) {
        return new StoreLocation(Optional.empty(), reason);
    }
}
