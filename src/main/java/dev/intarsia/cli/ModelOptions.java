package dev.intarsia.cli;

import dev.intarsia.CheckpointException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which checkpoint. */
final class ModelOptions {
    static final String ENVIRONMENT = "INTARSIA_MODEL";
    static final String PROPERTY = "intarsia.model";
    /** Where the checkout is; the launcher sets it. */
    static final String HOME_PROPERTY = "intarsia.home";

    private static final String SHIPPED = "models/holmes";

    @Option(names = "--model", paramLabel = "DIR",
            description = "Checkpoint directory in the Hugging Face layout: config.json, safetensors, tokenizer.json. "
                    + "Default: INTARSIA_MODEL, else the small model that ships.")
    private Path model;

    /** @throws CheckpointException if there is no such directory; says where its name came from */
    Path directory(Host host) {
        if (model != null) {
            return existing(model, "--model");
        }
        String environment = host.environment().apply(ENVIRONMENT);
        if (Host.isSet(environment)) {
            return existing(path(environment, ENVIRONMENT), ENVIRONMENT);
        }
        String property = host.property().apply(PROPERTY);
        if (Host.isSet(property)) {
            return existing(path(property, PROPERTY), "system property " + PROPERTY);
        }
        String home = host.property().apply(HOME_PROPERTY);
        return existing(path(Host.isSet(home) ? home : "", HOME_PROPERTY).resolve(SHIPPED), "the default");
    }

    private static Path path(String text, String source) {
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new CheckpointException(source + " is not a path: " + e.getMessage(), e);
        }
    }

    private static Path existing(Path directory, String source) {
        if (!Files.isDirectory(directory)) {
            throw new CheckpointException((Files.exists(directory) ? "not a directory: " : "no such model directory: ")
                    + directory + " (" + source + "); name one with --model or " + ENVIRONMENT);
        }
        return directory;
    }
}
