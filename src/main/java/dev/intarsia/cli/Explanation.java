package dev.intarsia.cli;

import dev.intarsia.EngineInfo;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.inspect.ModelReport.Steps;
import dev.intarsia.inspect.Words;
import dev.intarsia.piecewise.CompilationCounters;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.RuntimeMode;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.core.JsonGenerator;

/** What a command used: how its steps ran, on what, and what was compiled and recorded for them. */
final class Explanation {
    private Explanation() {}

    /** Steps of one mode, size and reason; the size includes padding. */
    private record How(RuntimeMode mode, int padded, Dispatch.Reason reason) {}

    private static Map<How, Long> steps(ModelReport report) {
        Map<How, Long> counts = new LinkedHashMap<>();
        for (Steps steps : report.steps()) {
            Dispatch how = steps.how();
            counts.merge(new How(how.mode(), how.paddedTokens(), how.reason()), steps.count(), Long::sum);
        }
        return counts;
    }

    /** Lines, each with a line end. */
    static String text(ModelReport report) {
        EngineInfo engine = report.engine();
        CompilationCounters counters = report.compilation().counters();
        Table steps = new Table("steps", "mode", "tokens", "why");
        steps(report).forEach((how, count) -> steps.row(count, how.mode(), how.padded(), how.reason()));
        StringBuilder text = new StringBuilder(steps.text(""));
        String line = System.lineSeparator();
        text.append(Words.plural(counters.compilations(), "compilation"))
                .append(", ").append(counters.artifactsLoaded()).append(" loaded, ")
                .append(Words.plural(counters.captures(), "recording"))
                .append(", ").append(Words.plural(counters.replays(), "replay"))
                .append(", graph mode ").append(report.compilation().graphs().mode()).append(line);
        text.append(engine.device()).append(", tier ").append(engine.cpuTier())
                .append(", ").append(Words.plural(engine.threads(), "thread"))
                .append(", ").append(engine.mode()).append(line);
        report.compilation().events().forEach(event -> text.append(event).append(line));
        return text.toString();
    }

    /** The property {@code explain}. */
    static void write(JsonGenerator json, ModelReport report) {
        json.writeObjectPropertyStart("explain");
        json.writeArrayPropertyStart("steps");
        steps(report).forEach((how, count) -> {
            json.writeStartObject();
            json.writeStringProperty("mode", how.mode().name());
            json.writeNumberProperty("padded", how.padded());
            json.writeStringProperty("reason", InspectJson.lower(how.reason()));
            json.writeNumberProperty("count", count);
            json.writeEndObject();
        });
        json.writeEndArray();
        InspectJson.device(json, report.engine());
        json.writeStringProperty("graph_mode", report.compilation().graphs().mode().name());
        json.writeName("counters");
        InspectJson.counters(json, report.compilation().counters());
        InspectJson.events(json, report.compilation().events());
        json.writeEndObject();
    }
}
