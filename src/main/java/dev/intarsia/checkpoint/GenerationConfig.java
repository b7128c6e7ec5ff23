package dev.intarsia.checkpoint;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;

/**
 * How a checkpoint asks to be sampled, from {@code generation_config.json}. Keys that are absent leave the distribution
 * as the model gives it: temperature 1, no top-k, no top-p.
 *
 * @param doSample    false where the file asks for greedy decoding
 * @param temperature divides the logits; 0 is greedy
 * @param topP        smallest probability mass to sample from, in (0, 1]
 * @param topK        number of most likely tokens to sample from; 0 for all
 * @param eosTokenIds tokens that end a text; the model configuration's where the file names none
 * @param bosTokenId  token that begins a text; the model configuration's where the file names none
 */
public record GenerationConfig(
        boolean doSample,
        double temperature,
        double topP,
        int topK,
        List<Integer> eosTokenIds,
        OptionalInt bosTokenId) {

    private static final long MAX_BYTES = 4 << 20;
    private static final double MAX_TEMPERATURE = 1_000;
    private static final double MIN_TOP_P = 1e-9;

    public GenerationConfig {
        eosTokenIds = List.copyOf(eosTokenIds);
    }

    /**
     * Reads a file, or gives the defaults where there is none.
     *
     * @throws dev.intarsia.CheckpointException if it is no JSON object, or a key is mistyped or out of bounds
     */
    public static GenerationConfig read(Path file, ModelConfig model) {
        if (!Files.exists(file)) {
            return new GenerationConfig(true, 1, 1, 0, model.eosTokenIds(), model.bosTokenId());
        }
        JsonObject json = Json.read(file, MAX_BYTES);
        boolean doSample = json.flag("do_sample").orElse(true);
        double temperature = json.number("temperature", 0, MAX_TEMPERATURE, 1);
        List<Integer> eos = json.integers("eos_token_id", 0, model.vocabSize() - 1);
        OptionalInt bos = json.integer("bos_token_id", 0, model.vocabSize() - 1);
        return new GenerationConfig(
                doSample,
                doSample ? temperature : 0,
                json.number("top_p", MIN_TOP_P, 1, 1),
                Math.max(0, json.integer("top_k", -1, Integer.MAX_VALUE).orElse(0)),
                eos.isEmpty() ? model.eosTokenIds() : eos,
                bos.isPresent() ? bos : model.bosTokenId());
    }
}
