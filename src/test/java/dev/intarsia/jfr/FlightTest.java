package dev.intarsia.jfr;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A flight recording holds what an engine did, and as much of it as it did. */
class FlightTest {
    @Test
    void aFlightTellsWhatWasCompiledRecordedAndRun(@TempDir Path directory) throws Exception {
        Path file = directory.resolve("flight.jfr");
        EngineOptions options = EngineOptions.builder()
                .compileRanges(List.of(8, 5000))
                .captureSizes(List.of(1, 4))
                .build();
        try (Recording recording = new Recording()) {
            recording.enable("dev.intarsia.Step");
            recording.enable("dev.intarsia.Replay");
            recording.start();
            try (Engine engine = Engine.open(TestModels.checkpoint("qwen3-tied"), options)) {
                engine.generate(
                        List.of(5, 6, 7), SamplingParams.greedy(5).toBuilder().ignoreEos(true).build());
            }
            recording.stop();
            recording.dump(file);
        }
        Map<String, List<RecordedEvent>> events = RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().startsWith("dev.intarsia."))
                .collect(Collectors.groupingBy(event -> event.getEventType().getName()));
        // Two ranges of the first, middle and last piece; the logits. Two sizes of four pieces and of the whole step.
        assertThat(events.get("dev.intarsia.Compile")).hasSize(7);
        assertThat(events.get("dev.intarsia.Record")).hasSize(10);
        assertThat(events.get("dev.intarsia.Downgrade")).singleElement().satisfies(event -> {
            assertThat(event.getString("reason")).contains("5000");
        });
        assertThat(events.get("dev.intarsia.Step")).hasSize(5).first().satisfies(event -> {
            assertThat(event.getInt("tokens")).isEqualTo(3);
            assertThat(event.getInt("paddedTokens")).isEqualTo(4);
            assertThat(event.getString("mode")).isEqualTo("PIECEWISE");
            assertThat(event.getDuration()).isPositive();
        });
        assertThat(events.get("dev.intarsia.Replay")).as("four pieces of the prompt, four whole steps").hasSize(8);
    }
}
