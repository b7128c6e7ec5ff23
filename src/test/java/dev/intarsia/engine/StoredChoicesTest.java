package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.TestModels;
import dev.intarsia.piecewise.CompilationState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What an engine measures it keeps, and a second one measures nothing; whatever happens to the files, the bits stay. */
class StoredChoicesTest {
    private static final Path MODEL = TestModels.checkpoint("qwen3-tied");
    private static final List<Integer> PROMPT = List.of(5, 17, 300, 2, 44, 91, 8, 8, 8, 120, 6);
    private static final int EXECUTABLES = 2 * 3 + 1; // two ranges of the first, middle and last piece; the logits

    @TempDir
    Path directory;

    private record Started(CompilationState state, float[] logits) {}

    private Started start(EngineOptions.Builder options) {
        try (Engine engine = Engine.open(MODEL, options.compileRanges(List.of(8)).build())) {
            return new Started(engine.compilation(), engine.logits(PROMPT));
        }
    }

    private EngineOptions.Builder kept() {
        return EngineOptions.builder().artifacts(directory.toString());
    }

    @Test
    void aSecondStartMeasuresNothing() {
        float[] plain = start(EngineOptions.builder().artifacts(EngineOptions.NO_ARTIFACTS)).logits();
        Started first = start(kept());
        assertThat(first.state().counters().compilations()).isEqualTo(EXECUTABLES);
        assertThat(first.state().counters().artifactsSaved()).isEqualTo(EXECUTABLES);
        assertThat(first.state().counters().artifactsLoaded()).isZero();
        assertThat(first.state().artifacts()).hasSize(EXECUTABLES).allMatch(note -> note.contains("no entry"));
        Started second = start(kept());
        assertThat(second.state().counters().compilations()).isZero();
        assertThat(second.state().counters().artifactsLoaded()).isEqualTo(EXECUTABLES);
        assertThat(second.state().artifacts()).allMatch(note -> note.endsWith("loaded from the store"));
        assertThat(first.logits()).containsExactly(plain);
        assertThat(second.logits()).containsExactly(plain);
    }

    @Test
    void otherSizesAndModesOfRecordingsAreHitsAndOtherThreadsAreMissesThatSaySo() {
        start(kept().threads(1));
        assertThat(start(kept().threads(1).captureSizes(List.of(3, 9))).state().counters().compilations()).isZero();
        Started other = start(kept().threads(2));
        assertThat(other.state().counters().compilations()).isEqualTo(EXECUTABLES);
        assertThat(other.state().artifacts()).allMatch(note -> note.contains("differs in threads (stored 1, now 2)"));
    }

    @Test
    void damagedFilesAreMadeAnew() throws IOException {
        float[] plain = start(kept()).logits();
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                byte[] bytes = Files.readAllBytes(file);
                bytes[bytes.length / 2] ^= 1;
                Files.write(file, bytes);
            }
        }
        Started again = start(kept());
        assertThat(again.state().counters().compilations()).isEqualTo(EXECUTABLES);
        assertThat(again.logits()).containsExactly(plain);
        assertThat(start(kept()).state().counters().compilations()).isZero();
    }

    @Test
    void aPlaceThatCannotBeWrittenIsReportedAndNothingElse() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "not a directory");
        Started started = start(EngineOptions.builder().artifacts(file.toString()));
        assertThat(started.state().events()).anyMatch(event -> event.subject().equals("artifacts"));
        assertThat(started.logits()).hasSize(512);
    }
}
