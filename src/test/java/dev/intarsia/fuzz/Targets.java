package dev.intarsia.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Completion;
import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.Quantize;
import dev.intarsia.SamplingParams;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.checkpoint.TensorView;
import dev.intarsia.model.Families;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.Precision;
import dev.intarsia.text.IncrementalDecoder;
import dev.intarsia.text.Tokenizer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.random.RandomGenerator;

/** What is tried with an input, and what must hold where it is accepted. */
final class Targets {

    /** Origin of strange models whose logits are finite, and so the same on every path. */
    static final String TAME = "tame";

    private static final int TOKENS = 3;
    private static final int TEXTS = 4;

    private Targets() {
    }

    /** Throws what the input makes the library throw, or an AssertionError if it is accepted and answers wrongly. */
    static void run(Input input, Path directory, RandomGenerator random) {
        switch (input.target()) {
            case CHECKPOINT -> checkpoint(directory);
            case ENGINE -> engine(directory, random, input.origin().equals(TAME));
            case TOKENIZER -> tokenizer(directory, random);
        }
    }

    private static void checkpoint(Path directory) {
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            ModelConfig config = checkpoint.config();
            assertThat(config.numHeads() % config.numKvHeads()).isZero();
            assertThat(config.headDim() % 2).isZero();
            assertThat(config.layerTypes()).hasSize(config.numLayers());
            List<TensorView> tensors = checkpoint.names().stream()
                    .map(checkpoint::tensor)
                    .sorted(Comparator.comparingLong(tensor -> tensor.data().address()))
                    .toList();
            long end = 0;
            for (TensorView tensor : tensors) {
                MemorySegment data = tensor.data();
                assertThat(data.byteSize() * Byte.SIZE).isEqualTo(tensor.elements() * tensor.dtype().bits());
                assertThat(data.address()).isGreaterThanOrEqualTo(end);
                end = data.address() + data.byteSize();
                if (data.byteSize() > 0) {
                    data.get(ValueLayout.JAVA_BYTE, 0);
                    data.get(ValueLayout.JAVA_BYTE, data.byteSize() - 1);
                }
            }
            config.checkServable(Families.architectures());
        }
    }

    private static void engine(Path directory, RandomGenerator random, boolean tame) {
        EngineOptions options = EngineOptions.builder()
                .maxModelLen(random.nextInt(10) == 0 ? 0 : 8)
                .maxNumBatchedTokens(random.nextInt(1, 9))
                .maxNumSeqs(random.nextInt(1, 3))
                .threads(1)
                .artifacts(EngineOptions.NO_ARTIFACTS)
                .cpuTier(Hostile.pick(Device.list().getFirst().tiers(), random))
                .precision(Hostile.pick(List.of(Precision.values()), random))
                .quantize(random.nextInt(3) > 0 ? Quantize.NONE : Hostile.pick(List.of(Quantize.values()), random))
                .compilation(Hostile.pick(List.of(CompilationMode.values()), random))
                .graphMode(Hostile.pick(List.of(GraphMode.values()), random))
                .build();
        float[] logits;
        List<Integer> prompt;
        try (Engine engine = Engine.open(directory, options)) {
            int vocabulary = engine.info().vocabulary();
            prompt = random.ints(TOKENS, 0, vocabulary).boxed().toList();
            logits = engine.logits(prompt);
            assertThat(logits).hasSize(vocabulary);
            assertSame(engine.logits(prompt), logits);
            Completion completion = engine.generate(
                    prompt,
                    SamplingParams.builder()
                            .temperature(random.nextInt(3))
                            .topK(random.nextInt(3))
                            .topP(random.nextBoolean() ? 1 : 0.5)
                            .seed(random.nextLong())
                            .maxTokens(TOKENS)
                            .build());
            assertThat(completion.tokens()).hasSizeLessThanOrEqualTo(TOKENS).allMatch(id -> id >= 0 && id < vocabulary);
            if (engine.hasTokenizer()) {
                engine.generate("ab", SamplingParams.greedy(1));
            }
        }
        if (tame) {
            EngineOptions plain = EngineOptions.builder()
                    .maxModelLen(TOKENS)
                    .maxNumSeqs(1)
                    .threads(2)
                    .artifacts(EngineOptions.NO_ARTIFACTS)
                    .cpuTier("scalar")
                    .precision(options.precision())
                    .quantize(options.quantize())
                    .compilation(CompilationMode.NONE)
                    .build();
            try (Engine engine = Engine.open(directory, plain)) {
                assertSame(engine.logits(prompt), logits);
            }
        }
    }

    private static void assertSame(float[] actual, float[] expected) {
        int at = Arrays.mismatch(bits(actual), bits(expected));
        if (at >= 0) {
            throw new AssertionError("logit " + at + " is " + actual[at] + " and was " + expected[at]);
        }
    }

    /** Bits that tell apart all but the kinds of NaN. */
    private static int[] bits(float[] values) {
        int[] bits = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            bits[i] = Float.floatToIntBits(values[i]);
        }
        return bits;
    }

    private static void tokenizer(Path directory, RandomGenerator random) {
        try (Tokenizer tokenizer = Tokenizer.open(directory)) {
            for (int i = 0; i < TEXTS; i++) {
                int[] ids = tokenizer.encode(TokenizerFiles.text(random));
                assertThat(Arrays.stream(ids)).allMatch(id -> id >= 0 && id < tokenizer.vocabSize());
                decode(tokenizer, ids);
            }
            decode(tokenizer, random.ints(TEXTS * 8, -1, tokenizer.vocabSize() + 2).toArray());
            decode(tokenizer, new int[] {Integer.MIN_VALUE, Integer.MAX_VALUE});
        }
    }

    /** All at once and one by one, which must give the same text. */
    private static void decode(Tokenizer tokenizer, int[] ids) {
        String whole = tokenizer.decode(ids);
        tokenizer.decode(ids, false);
        IncrementalDecoder decoder = new IncrementalDecoder(tokenizer);
        StringBuilder pieces = new StringBuilder();
        for (int id : ids) {
            pieces.append(decoder.append(id));
        }
        pieces.append(decoder.finish());
        if (!whole.contentEquals(pieces)) {
            throw new AssertionError("decoded at once " + WeightsFile.JSON.writeValueAsString(whole)
                    + " but one by one " + WeightsFile.JSON.writeValueAsString(pieces.toString())
                    + " from " + Arrays.toString(ids));
        }
    }
}
