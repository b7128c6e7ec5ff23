package dev.intarsia.checkpoint;

import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.stream.Stream;

/** The reference checkpoints among the test resources. */
final class References {

    private References() {
    }

    static Stream<String> names() {
        return Stream.of("llama-linear-f32", "llama2-f16", "llama3-ropescaled", "mistral-window", "qwen2-tied",
                "qwen3-tied", "qwen3-untied");
    }

    static Path directory(String name) {
        try {
            return Path.of(References.class.getResource("/checkpoints/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
    }
}
