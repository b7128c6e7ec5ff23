package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.TestModels;
import dev.intarsia.inspect.Drawings;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.piecewise.CompilationCounters;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.Precision;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** {@code inspect} on the model that ships and on a deep one of which there is only the shape. */
@Timeout(120)
class InspectCommandTest {
    private static final String HOLMES = TestModels.holmes().toString();
    private static final String DEEP = TestModels.resource("/configs/qwen3-28-layers.json").toString();

    private static Shell.Result inspect(String... arguments) {
        List<String> all = new ArrayList<>(List.of("inspect"));
        all.addAll(List.of(arguments));
        Shell.Result result = new Shell().run(all.toArray(String[]::new));
        assertThat(result.err()).isEmpty();
        assertThat(result.exit()).isZero();
        return result;
    }

    private static List<Integer> integers(JsonNode array) {
        List<Integer> values = new ArrayList<>();
        array.forEach(value -> values.add(value.asInt()));
        return values;
    }

    /** Every path of the object with the types found there, those of arrays together. */
    private static Map<String, TreeSet<String>> structure(JsonNode json) {
        Map<String, TreeSet<String>> paths = new TreeMap<>();
        collect("", json, paths);
        return paths;
    }

    private static void collect(String path, JsonNode node, Map<String, TreeSet<String>> paths) {
        if (node.isObject()) {
            node.properties().forEach(each -> collect(path + "." + each.getKey(), each.getValue(), paths));
        } else if (node.isArray()) {
            node.forEach(each -> collect(path + "[]", each, paths));
        } else {
            paths.computeIfAbsent(path, key -> new TreeSet<>()).add(node.getNodeType().name().toLowerCase(Locale.ROOT));
        }
    }

    /** Whoever reads this JSON relies on it: a change here is a change of the interface. */
    @Test
    void theStructureOfTheJsonIsAsItWas() throws IOException {
        JsonNode json = inspect(
                "--model", HOLMES, "--json", "--compile-ranges", "8,5000", "--max-num-seqs", "4").json();
        StringBuilder lines = new StringBuilder();
        structure(json).forEach((path, types) ->
                lines.append(path).append(": ").append(String.join("|", types)).append('\n'));
        assertThat(lines.toString())
                .isEqualTo(Files.readString(TestModels.resource("/inspect/structure.txt")));
    }

    @Test
    void theJsonIsWhatTheEngineSays() {
        JsonNode json = inspect("--model", HOLMES, "--json", "--compile-ranges", "8,64", "--compile-sizes", "1,16",
                "--max-num-seqs", "8", "--precision", "f32").json();
        ModelReport report;
        EngineOptions options = EngineOptions.builder()
                .compileRanges(List.of(8, 64))
                .compileSizes(List.of(1, 16))
                .maxNumSeqs(8)
                .precision(Precision.F32)
                .build();
        try (Engine engine = Engine.open(TestModels.holmes(), options)) {
            report = engine.inspect();
            assertThat(report.compilation().graphs()).isEqualTo(engine.compilation().graphs());
        }

        assertThat(json.get("pieces").size()).isEqualTo(report.pieces().size());
        for (ModelReport.Piece piece : report.pieces()) {
            JsonNode node = json.get("pieces").get(piece.index());
            assertThat(node.get("class").asInt()).isEqualTo(piece.classId());
            assertThat(node.get("weight_bytes").asLong()).isEqualTo(piece.weightBytes());
            assertThat(node.get("outputs").asInt()).isEqualTo(piece.outputs());
        }
        long flops = 0;
        for (JsonNode piece : json.get("pieces")) {
            flops += piece.path("flops_per_token").asLong();
        }
        assertThat(flops).isEqualTo(json.get("work").get("flops_per_token").asLong()).isEqualTo(report.flopsPerToken());
        for (ModelReport.PieceClass each : report.classes()) {
            JsonNode node = json.get("classes").get(each.id());
            assertThat(integers(node.get("pieces"))).isEqualTo(each.pieces());
            assertThat(node.get("entries").size()).isEqualTo(each.entries().size());
            for (int i = 0; i < each.entries().size(); i++) {
                ModelReport.Entry entry = each.entries().get(i);
                JsonNode found = node.get("entries").get(i);
                assertThat(integers(found.get("range"))).containsExactly(entry.lo(), entry.hi());
                assertThat(found.get("arena_bytes").asLong()).isEqualTo(entry.arenaBytes());
                assertThat(found.get("kernels").size()).isEqualTo(entry.kernels().size());
                assertThat(found.get("kernels").get(0).asString()).isEqualTo(entry.kernels().getFirst());
            }
        }
        assertThat(json.get("graphs").get("mode").asString()).isEqualTo("FULL_AND_PIECEWISE");
        assertThat(integers(json.get("graphs").get("capture_sizes"))).containsExactly(1, 2, 4, 8, 16);
        assertThat(json.get("graphs").get("recordings").size()).isEqualTo(7 * 5 + 4);
        CompilationCounters counters = report.compilation().counters();
        assertThat(json.get("counters").get("compilations").asLong()).isEqualTo(counters.compilations()).isEqualTo(16);
        assertThat(json.get("counters").get("captures").asLong()).isEqualTo(counters.captures()).isEqualTo(39);
        assertThat(json.get("engine").get("weight_bytes").asLong()).isEqualTo(report.engine().weightBytes());
    }

    @Test
    void theDispatchTableIsComplete() {
        JsonNode json = inspect("--model", HOLMES, "--json", "--max-num-seqs", "8", "--max-num-batched-tokens", "100",
                "--capture-sizes", "2,8,40").json();
        EngineOptions options = EngineOptions.builder()
                .maxNumSeqs(8)
                .maxNumBatchedTokens(100)
                .captureSizes(List.of(2, 8, 40))
                .build();
        try (Engine engine = Engine.open(TestModels.holmes(), options)) {
            assertSame(json.get("dispatch").get("decode"), engine.compilation().graphs().uniform());
            assertSame(json.get("dispatch").get("mixed"), engine.compilation().graphs().mixed());
        }
        assertThat(json.get("dispatch").get("decode").get(4).toString())
                .isEqualTo("{\"tokens\":5,\"mode\":\"FULL\",\"padded\":8,\"reason\":\"padded\"}");
        assertThat(json.get("dispatch").get("decode").get(8).get("mode").asString()).isEqualTo("PIECEWISE");
        assertThat(json.get("dispatch").get("mixed").get(40).toString())
                .isEqualTo("{\"tokens\":41,\"mode\":\"NONE\",\"padded\":41,\"reason\":\"too_large\"}");
    }

    private static void assertSame(JsonNode table, List<Dispatch> answers) {
        assertThat(table.size()).isEqualTo(100).isEqualTo(answers.size() - 1);
        for (JsonNode row : table) {
            Dispatch answer = answers.get(row.get("tokens").asInt());
            assertThat(row.get("mode").asString()).isEqualTo(answer.mode().name());
            assertThat(row.get("padded").asInt()).isEqualTo(answer.paddedTokens());
            assertThat(row.get("reason").asString()).isEqualToIgnoringCase(answer.reason().name());
        }
    }

    @Test
    void theTextSaysEachThingOnce() {
        String text = inspect("--model", HOLMES, "--compile-ranges", "8,5000", "--compile-sizes", "1",
                "--max-num-seqs", "4").out();
        assertThat(text.lines())
                .contains(
                        "14 pieces of 5 classes",
                        "graph mode FULL_AND_PIECEWISE, captured sizes 1, 2, 4, 8",
                        "  exactly 1 token, arena 3.00 KiB",
                        "    linear+add [T, 256] x [256, 256] -> [T, 256]",
                        "  ranges: endpoint 5000 dropped: it is above maxNumBatchedTokens = 2048")
                .anyMatch(line -> line.matches(" +1, 3 \\.\\. 9 +1 +splitting +tokens .*repeated 5 times"))
                .anyMatch(line -> line.matches(" +3\\.\\.4 +FULL +4 +1\\.\\.8 +padded to the next captured size"))
                .anyMatch(line -> line.matches(" +9\\.\\.2048 +NONE +as it is +9\\.\\.2048 +larger than every .*"))
                .anyMatch(line -> line.matches(" +PIECEWISE, each piece +2, 4, 8 +21 .*"))
                .anyMatch(line -> line.matches(" +FULL, the whole step +1 +1 .*"))
                .anyMatch(line -> line.contains("compilations 10,") && line.contains("captures 31,"));
        assertThat(text.lines().filter(line -> line.startsWith("class "))).hasSize(5);
        assertThat(text.lines().count()).isLessThan(110);
    }

    @Test
    void aDeepModelTakesNoMorePaperThanAShallowOne() {
        String[] options = {"--max-num-seqs", "4", "--max-num-batched-tokens", "64"};
        List<String> deep = new ArrayList<>(List.of("--config", DEEP, "--random-weights", "1"));
        deep.addAll(List.of(options));
        String text = inspect(deep.toArray(String[]::new)).out();
        assertThat(text).contains("58 pieces of 5 classes", "repeated 27 times", "class 2, shared by 27 pieces");
        List<String> opByOp = new ArrayList<>(deep);
        opByOp.addAll(List.of("--compilation", "none"));
        assertThat(inspect(opByOp.toArray(String[]::new)).out().lines())
                .contains("    28 times:")
                .hasSizeLessThan(80);
    }

    @Test
    void aLoweredModeSaysWhy() {
        JsonNode json = inspect("--model", HOLMES, "--json", "--graph-mode", "full_decode_only",
                "--capture-sizes", "1,9000").json();
        assertThat(json.get("graphs").get("mode").asString()).isEqualTo(GraphMode.FULL_DECODE_ONLY.name());
        assertThat(json.get("events").get(0).get("subject").asString()).isEqualTo("capture sizes");
        assertThat(json.get("events").get(0).get("message").asString()).contains("9000 dropped");
    }

    @Test
    void theDrawingGoesToAFileBesideWhatIsPrinted(@TempDir Path directory) throws Exception {
        Path file = directory.resolve("graph.svg");
        JsonNode json = inspect("--model", HOLMES, "--json", "--svg", file.toString()).json();
        assertThat(json.get("pieces").size()).isEqualTo(14);
        assertThat(Drawings.parse(Files.readString(file)).getDocumentElement().getTagName()).isEqualTo("svg");

        Shell.Result failed = new Shell().run(
                "inspect", "--model", HOLMES, "--svg", directory.resolve("no/such.svg").toString());
        assertThat(failed.exit()).isEqualTo(1);
        assertThat(failed.out()).isEmpty();
        assertThat(failed.err()).startsWith("intarsia: cannot write ").containsOnlyOnce("\n");
    }
}
