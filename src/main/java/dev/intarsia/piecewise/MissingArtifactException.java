package dev.intarsia.piecewise;

import dev.intarsia.IntarsiaException;
import java.util.Collection;

/** Stored artifacts of a piece lack one of the ranges it needs. Whoever owns the store can compile it instead. */
public final class MissingArtifactException extends IntarsiaException {
    private static final long serialVersionUID = 1L;

    MissingArtifactException(CompileRange range, Collection<String> available) {
        super("Missing compiled runnable for range " + range + ". Available keys: " + available);
    }
}
