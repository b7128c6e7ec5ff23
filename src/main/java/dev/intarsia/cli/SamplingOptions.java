package dev.intarsia.cli;

import dev.intarsia.SamplingParams;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How tokens are chosen; whatever is not given is as the checkpoint asks for it. */
final class SamplingOptions {

    @Option(names = "--max-tokens", paramLabel = "N", description = "Most tokens to generate. Default: 128.")
    private Integer maxTokens;

    @Option(names = "--temperature", paramLabel = "T",
            description = "Logits are divided by it; 0 takes the most likely token. "
                    + "Default: generation_config.json of the checkpoint, else 1.")
    private Double temperature;

    @Option(names = "--top-p", paramLabel = "P",
            description = "Keep the most likely tokens that have this share of the probability, 0 < P <= 1. "
                    + "Default: as for the temperature, else 1, all.")
    private Double topP;

    @Option(names = "--top-k", paramLabel = "K",
            description = "Keep this many most likely tokens, 0 for all. Default: as for the temperature, else 0.")
    private Integer topK;

    @Option(names = "--seed", paramLabel = "S",
            description = "The same seed gives the same text. Default: a fresh one each time.")
    private Long seed;

    @Option(names = "--ignore-eos", description = "Go on after an end-of-sequence token.")
    private boolean ignoreEos;

    /**
     * What was given, over these defaults.
     *
     * @throws IllegalArgumentException naming a parameter that is out of bounds
     */
    SamplingParams over(SamplingParams defaults) {
        SamplingParams.Builder params = defaults.toBuilder();
        Optional.ofNullable(maxTokens).ifPresent(params::maxTokens);
        Optional.ofNullable(temperature).ifPresent(params::temperature);
        Optional.ofNullable(topP).ifPresent(params::topP);
        Optional.ofNullable(topK).ifPresent(params::topK);
        Optional.ofNullable(seed).ifPresent(params::seed);
        if (ignoreEos) {
            params.ignoreEos(true);
        }
        return params.build();
    }
}
