package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.model.QuantizedCheckpoint;
import dev.intarsia.runtime.WeightFormat;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Quantized models: how far their logits are off, and that a quantized directory is the same as quantizing at load. */
class QuantizedTest {
    private static final List<Integer> PROMPT = List.of(5, 17, 300, 42, 7, 99, 256, 1, 2, 3);

    /** Measured 0.0059 and 0.030; half as much again is allowed. */
    private static final double INT8_ERROR = 0.009;
    private static final double INT4_ERROR = 0.045;

    @TempDir
    Path scratch;

    private static EngineOptions options(Quantize format) {
        return EngineOptions.builder().quantize(format).maxNumSeqs(1).artifacts(EngineOptions.NO_ARTIFACTS).build();
    }

    /** Relative L2 error of the logits, in the mean of the shipped model's golden cases. */
    private static double error(Quantize format) {
        Path model = TestModels.holmes();
        try (Engine engine = Engine.open(model, options(format))) {
            return Golden.of(model).cases().stream()
                    .mapToDouble(golden -> golden.error(engine.logits(golden.ids())))
                    .average()
                    .orElseThrow();
        }
    }

    @Test
    void logitsAreOffByWhatTheBitsAllow() {
        double int8 = error(Quantize.INT8);
        double int4 = error(Quantize.INT4);
        assertThat(int8).isBetween(0.001, INT8_ERROR);
        assertThat(int4).isBetween(int8 * 2, INT4_ERROR);
    }

    @ParameterizedTest
    @EnumSource(names = {"INT8", "INT4"})
    void aQuantizedDirectoryGivesTheSameBitsAsQuantizingAtLoad(Quantize format) {
        for (Path model : List.of(TestModels.checkpoint("qwen3-untied"), TestModels.checkpoint("qwen2-tied"))) {
            Path out = scratch.resolve(format + "-" + model.getFileName());
            QuantizedCheckpoint.write(model, out, format, name -> {});
            assertThat(files(scratch)).as("nothing half written is left").allMatch(name -> !name.contains(".part"));
            assertThat(files(out)).contains("config.json", "model.safetensors");
            try (Engine written = Engine.open(out, options(Quantize.NONE));
                    Engine flagged = Engine.open(out, options(format));
                    Engine loaded = Engine.open(model, options(format))) {
                assertThat(written.info().format()).isEqualTo(WeightFormat.valueOf(format.name()));
                float[] logits = loaded.logits(PROMPT);
                assertThat(written.logits(PROMPT)).isEqualTo(logits);
                assertThat(flagged.logits(PROMPT)).isEqualTo(logits);
                assertThat(written.info().weightBytes()).isEqualTo(loaded.info().weightBytes());
            }
            Quantize other = format == Quantize.INT8 ? Quantize.INT4 : Quantize.INT8;
            assertThatThrownBy(() -> Engine.open(out, options(other)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("quantize is " + other + ", but the checkpoint was written as " + format);
            assertThatThrownBy(() -> QuantizedCheckpoint.write(out, scratch.resolve("again"), format, name -> {}))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("is quantized already");
        }
    }

    @Test
    void aTargetThatIsNotEmptyIsLeftAlone() throws IOException {
        Files.writeString(scratch.resolve("mine"), "mine");
        assertThatThrownBy(() ->
                        QuantizedCheckpoint.write(TestModels.checkpoint("qwen3-tied"), scratch, Quantize.INT8, name -> {}))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("exists and is not an empty directory");
        assertThat(files(scratch)).containsExactly("mine");
    }

    @Test
    void damagedQuantizedCheckpointsAreRefused() throws IOException {
        Path out = scratch.resolve("int8");
        QuantizedCheckpoint.write(TestModels.checkpoint("qwen3-tied"), out, Quantize.INT8, name -> {});
        Path weights = out.resolve("model.safetensors");
        byte[] whole = Files.readAllBytes(weights);
        ByteBuffer bytes = ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN);
        int data = (int) bytes.getLong(0) + Long.BYTES;
        String header = new String(whole, Long.BYTES, data - Long.BYTES, StandardCharsets.UTF_8);

        byte[] value = whole.clone();
        value[data + 5] = -128;
        Files.write(weights, value);
        assertThatThrownBy(() -> Engine.open(out, options(Quantize.NONE))).hasMessageContaining("value 5 is -128");

        for (String[] change : new String[][] {
            {"_scale", "_scald", "no tensor"}, {"\"I8\"", "\"U8\"", "is stored as U8"}
        }) {
            byte[] other = header.replaceFirst(change[0], change[1]).getBytes(StandardCharsets.UTF_8);
            byte[] file = whole.clone();
            System.arraycopy(other, 0, file, Long.BYTES, other.length);
            Files.write(weights, file);
            assertThatThrownBy(() -> Engine.open(out, options(Quantize.NONE)))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining(change[2]);
        }

        Files.write(weights, whole);
        Path config = out.resolve("config.json");
        Files.writeString(config, Files.readString(config).replace("intarsia_int8", "intarsia_int4"));
        assertThatThrownBy(() -> Engine.open(out, options(Quantize.NONE)))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("config.json makes it");
        Files.writeString(config, Files.readString(config).replace("intarsia_int4", "intarsia_int2"));
        assertThatThrownBy(() -> Engine.open(out, options(Quantize.NONE)))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("the checkpoint is quantized");
    }

    private static List<String> files(Path directory) {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(file -> file.getFileName().toString()).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
