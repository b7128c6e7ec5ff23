package dev.intarsia.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.TestModels;
import dev.intarsia.piecewise.CompilationState;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which kernels are the fastest is kept, and a second start measures nothing. */
@OnCuda
class StoredKernelsTest {
    private static final int EXECUTABLES = 2 * 3 + 1; // two ranges of the first, middle and last piece; the logits

    @TempDir
    Path directory;

    private record Started(CompilationState state, float[] logits) {}

    private Started start() {
        EngineOptions options = EngineOptions.builder()
                .device("cuda")
                .artifacts(directory.toString())
                .compileRanges(List.of(8))
                .build();
        try (Engine engine = Engine.open(TestModels.checkpoint("qwen3-tied"), options)) {
            return new Started(engine.compilation(), engine.logits(List.of(5, 17, 300, 2, 44, 91, 8)));
        }
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.walk(directory)) {
            return files.filter(Files::isRegularFile).toList();
        }
    }

    @Test
    void aSecondStartMeasuresNothing() throws IOException {
        Started first = start();
        // The emulated device has something to say of every executable, a GPU only of those for which there was a choice.
        long saved = first.state().counters().artifactsSaved();
        assertThat(saved).isBetween(1L, (long) EXECUTABLES);
        Started second = start();
        assertThat(second.state().counters().compilations()).isEqualTo(first.state().counters().compilations() - saved);
        assertThat(second.state().counters().artifactsLoaded()).isEqualTo(saved);
        assertThat(second.logits()).containsExactly(first.logits());
        long named = 0;
        for (Path file : files()) {
            named += Files.readString(file, StandardCharsets.ISO_8859_1).contains("kernels of a CUDA device\n") ? 1 : 0;
        }
        assertThat(named).isEqualTo(saved);
    }
}
