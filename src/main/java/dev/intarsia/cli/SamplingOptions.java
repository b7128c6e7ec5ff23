package dev.intarsia.cli;

import dev.intarsia.RepetitionDetection;
import dev.intarsia.SamplingParams;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How tokens are chosen; whatever is not given is as the checkpoint asks for it. */
final class SamplingOptions {

    @Option(names = "--n", paramLabel = "N",
            description = "So many continuations of the prompt, each printed at the end, after a line with its number; "
                    + "not with temperature 0. Default: 1.")
    private Integer n;

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

    @Option(names = "--min-p", paramLabel = "P",
            description = "Drop tokens less likely than this share of the most likely one; 0 <= P <= 1. Default: 0.")
    private Double minP;

    @Option(names = "--presence-penalty", paramLabel = "X",
            description = "Taken off the logits of tokens that came already, -2 <= X <= 2. Default: 0.")
    private Double presencePenalty;

    @Option(names = "--frequency-penalty", paramLabel = "X",
            description = "The same for each time that they came. Default: 0.")
    private Double frequencyPenalty;

    @Option(names = "--repetition-penalty", paramLabel = "X",
            description = "Logits above 0 of tokens of prompt and continuation are divided by it, others multiplied; "
                    + "X > 0. Default: 1.")
    private Double repetitionPenalty;

    @Option(names = "--logit-bias", paramLabel = "ID=X", split = ",",
            description = "Added to the logit of a token, -100 <= X <= 100. Several: ID=X,ID=X,...")
    private Map<Integer, Double> logitBias;

    @Option(names = "--allowed-token-ids", paramLabel = "ID,ID,...", converter = Integers.TokenIds.class,
            description = "The only tokens that may come. Default: all.")
    private Integers allowedTokenIds;

    @Option(names = "--bad-word", paramLabel = "TEXT",
            description = "A word that may not come. May be given several times.")
    private List<String> badWords;

    @Option(names = "--bad-word-ids", paramLabel = "ID,ID,...", converter = Integers.TokenIds.class,
            description = "Tokens that may not come in this order. May be given several times.")
    private List<Integers> badWordIds;

    @Option(names = "--min-tokens", paramLabel = "N", description = "No end before so many tokens. Default: 0.")
    private Integer minTokens;

    @Option(names = "--stop", paramLabel = "TEXT",
            description = "End before this text. May be given several times.")
    private List<String> stop;

    @Option(names = "--include-stop-str-in-output", description = "End after the stop text, not before it.")
    private boolean includeStopStrInOutput;

    @Option(names = "--stop-token-ids", paramLabel = "ID,ID,...", converter = Integers.TokenIds.class,
            description = "End where one of these tokens comes.")
    private Integers stopTokenIds;

    @Option(names = "--no-skip-special-tokens", description = "Special tokens are part of the text.")
    private boolean specialTokens;

    @Option(names = "--repetition-detection", paramLabel = "MAX,MIN,COUNT", converter = Integers.TokenIds.class,
            description = "End where the last MIN to MAX tokens came COUNT times in a row. Default: never.")
    private Integers repetitionDetection;

    @Option(names = "--logprobs", paramLabel = "K",
            description = "Print the log-probability and rank of each token, and the K likeliest, 0 <= K <= 20. "
                    + "Default: none.")
    private Integer logprobs;

    @Option(names = "--prompt-logprobs", paramLabel = "K",
            description = "The same of the tokens of the prompt but the first.")
    private Integer promptLogprobs;

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
        Optional.ofNullable(n).ifPresent(params::n);
        Optional.ofNullable(logprobs).ifPresent(params::logprobs);
        Optional.ofNullable(promptLogprobs).ifPresent(params::promptLogprobs);
        Optional.ofNullable(maxTokens).ifPresent(params::maxTokens);
        Optional.ofNullable(temperature).ifPresent(params::temperature);
        Optional.ofNullable(topP).ifPresent(params::topP);
        Optional.ofNullable(topK).ifPresent(params::topK);
        Optional.ofNullable(seed).ifPresent(params::seed);
        Optional.ofNullable(minP).ifPresent(params::minP);
        Optional.ofNullable(presencePenalty).ifPresent(params::presencePenalty);
        Optional.ofNullable(frequencyPenalty).ifPresent(params::frequencyPenalty);
        Optional.ofNullable(repetitionPenalty).ifPresent(params::repetitionPenalty);
        Optional.ofNullable(logitBias).ifPresent(params::logitBias);
        Optional.ofNullable(allowedTokenIds).map(Integers::values).ifPresent(params::allowedTokenIds);
        Optional.ofNullable(badWords).ifPresent(params::badWords);
        Optional.ofNullable(badWordIds)
                .ifPresent(words -> params.badWordsTokenIds(words.stream().map(Integers::values).toList()));
        Optional.ofNullable(minTokens).ifPresent(params::minTokens);
        Optional.ofNullable(stop).ifPresent(params::stop);
        Optional.ofNullable(stopTokenIds).map(Integers::values).ifPresent(params::stopTokenIds);
        Optional.ofNullable(repetitionDetection).map(SamplingOptions::detection).ifPresent(params::repetitionDetection);
        if (ignoreEos) {
            params.ignoreEos(true);
        }
        if (includeStopStrInOutput) {
            params.includeStopStrInOutput(true);
        }
        if (specialTokens) {
            params.skipSpecialTokens(false);
        }
        return params.build();
    }

    /** Whether a step has use for more rows than that of one sequence. */
    boolean wantsRows() {
        return n != null && n > 1 || promptLogprobs != null;
    }

    private static RepetitionDetection detection(Integers given) {
        List<Integer> values = given.values();
        if (values.size() != 3) {
            throw new IllegalArgumentException(
                    "--repetition-detection takes three numbers, MAX,MIN,COUNT, but was given " + values);
        }
        return new RepetitionDetection(values.get(0), values.get(1), values.get(2));
    }
}
