package dev.intarsia.cli;

import dev.intarsia.CheckpointException;
import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which model: a checkpoint, or the shape of one with random weights. */
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

    @Option(names = "--config", paramLabel = "FILE",
            description = "In place of --model, with --random-weights: the config.json of a model whose weights need "
                    + "not be here.")
    private Path config;

    @Option(names = "--random-weights", paramLabel = "SEED",
            description = "Draw the weights of the model that --config describes; the same seed gives the same ones. "
                    + "Such a model has no tokenizer.")
    private Long randomWeights;

    /** A model that can be opened. */
    sealed interface Source {
        /** For messages. */
        String name();

        Engine open(EngineOptions options);
    }

    /**
     * A checkpoint directory.
     *
     * @param directory exists
     */
    record Checkpoint(Path directory) implements Source {
        @Override
        public String name() {
            return directory.toString();
        }

        @Override
        public Engine open(EngineOptions options) {
            return Engine.open(directory, options);
        }
    }

    /**
     * Random weights.
     *
     * @param config gives the shape of the model
     */
    record Random(Path config, long seed) implements Source {
        @Override
        public String name() {
            return config.toString();
        }

        @Override
        public Engine open(EngineOptions options) {
            return Engine.openRandom(config, seed, options);
        }
    }

    /**
     * @throws CheckpointException if there is no such directory; says where its name came from
     * @throws IllegalArgumentException if the options do not go together
     */
    Source source(Host host) {
        if (config == null && randomWeights == null) {
            return new Checkpoint(directory(host));
        }
        if (config == null) {
            throw new IllegalArgumentException("--random-weights needs --config FILE, the shape of the model");
        }
        if (randomWeights == null) {
            throw new IllegalArgumentException("--config needs --random-weights SEED; a model with weights of its own "
                    + "is named with --model DIR");
        }
        if (model != null) {
            throw new IllegalArgumentException("two models: give --model, or --config with --random-weights, not both");
        }
        return new Random(config, randomWeights);
    }

    private Path directory(Host host) {
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
