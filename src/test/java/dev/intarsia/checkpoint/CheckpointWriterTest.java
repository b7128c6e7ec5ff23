package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.TestModels;
import dev.intarsia.model.WeightShapes;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointWriterTest {
    private static final Path CONFIG = TestModels.resource("/configs/qwen3-28-layers.json");

    @TempDir
    private Path temp;

    private void write(Path directory, long seed) {
        try (RandomWeights weights = RandomWeights.of(CONFIG, seed)) {
            CheckpointWriter.write(CONFIG, weights, WeightShapes.of(weights.config()), directory, name -> {});
        }
    }

    @Test
    void whatIsWrittenIsTheModelThatIsDrawn() {
        Path directory = temp.resolve("new/checkpoint");
        write(directory, 5);
        EngineOptions options = EngineOptions.builder().maxModelLen(32).maxNumSeqs(1).artifacts("off").build();
        try (Engine drawn = Engine.openRandom(CONFIG, 5, options);
                Engine read = Engine.open(directory, options)) {
            assertThat(read.logits(List.of(1, 2, 3))).containsExactly(drawn.logits(List.of(1, 2, 3)));
        }
    }

    @Test
    void theFileHasEveryWeightThatTheFamilyAsksForAndNoOther() {
        Path directory = temp.resolve("checkpoint");
        write(directory, 1);
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            Map<String, long[]> shapes = WeightShapes.of(checkpoint.config());
            assertThat(checkpoint.names()).containsExactlyElementsOf(shapes.keySet());
            assertThat(checkpoint.totalBytes()).isEqualTo(2 * WeightShapes.elements(checkpoint.config()));
        }
    }

    /** The shapes come from checkpoints that another library wrote. */
    @Test
    void theShapesAreThoseOfRealCheckpoints() {
        for (String name : List.of("qwen3-tied", "qwen3-untied", "qwen2-tied", "mistral-window", "llama3-ropescaled")) {
            try (Checkpoint checkpoint = Checkpoint.open(TestModels.checkpoint(name))) {
                Map<String, long[]> shapes = WeightShapes.of(checkpoint.config());
                assertThat(shapes.keySet()).as(name).containsExactlyInAnyOrderElementsOf(checkpoint.names());
                shapes.forEach((tensor, shape) ->
                        assertThat(checkpoint.tensor(tensor).shape()).as(name + " " + tensor).isEqualTo(shape));
            }
        }
    }

    @Test
    void aDirectoryThatHoldsSomethingIsLeftAlone() throws Exception {
        Files.writeString(temp.resolve("mine"), "x");
        assertThatThrownBy(() -> write(temp, 1))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("is not empty");
        assertThat(temp).isDirectoryContaining("glob:**mine");
        assertThat(temp.resolve("model.safetensors")).doesNotExist();
    }
}
