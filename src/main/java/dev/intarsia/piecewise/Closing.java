package dev.intarsia.piecewise;

import java.util.function.Consumer;

/** Closing of many things, all of them, whatever any of them throws. */
final class Closing {
    private Closing() {}

    /** Throws the first failure in the end, with the later ones suppressed in it. */
    static <T> void all(Iterable<T> items, Consumer<? super T> close) {
        RuntimeException failure = null;
        for (T item : items) {
            try {
                close.accept(item);
            } catch (RuntimeException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
