package dev.intarsia;

import java.util.concurrent.CompletableFuture;

/**
 * A stream as a future. A virtual thread of its own waits and completes it, so that whatever depends on it runs
 * neither on the engine's thread nor holds it up.
 */
final class Submission {
    private Submission() {}

    /** However the future ends otherwise, by {@code cancel} or {@code orTimeout}, the stream is closed. */
    static CompletableFuture<Completion> of(TokenStream stream) {
        CompletableFuture<Completion> future = new CompletableFuture<>();
        future.whenComplete((completion, failure) -> stream.close());
        Thread.ofVirtual().name("intarsia-submission").start(() -> {
            try {
                future.complete(stream.completion());
            } catch (Throwable failure) {
                future.completeExceptionally(failure);
            }
        });
        return future;
    }
}
