package dev.intarsia.piecewise.cases;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * The rows of {@code piecewise-cases.json}, one test a row; with {@code -Dintarsia.cases=FILE} (an absolute path) the
 * rows of that file instead.
 */
class PiecewiseCasesTest {
    private static final Map<String, RowRunner> RUNNERS = Map.ofEntries(
            Map.entry("ranges", new RangesRows()),
            Map.entry("piecewise_dispatch", PieceRows.withKinds()),
            Map.entry("static_path", PieceRows.ranges()),
            Map.entry("warm_load", PieceRows.ranges()),
            Map.entry("split", new SplitRows()),
            Map.entry("capture_sizes", new CaptureSizesRows()),
            Map.entry("padding", new PaddingRows()),
            Map.entry("capture_order", new CaptureOrderRows()),
            Map.entry("dispatch", new DispatchRows()),
            Map.entry("resolve_mode", new ResolveModeRows()),
            Map.entry("warmup", new WarmUpRows()),
            Map.entry("graph_wrapper", new GraphWrapperRows()),
            Map.entry("counters", new CountersRows()),
            Map.entry("artifact_store", new ArtifactStoreRows()));

    @TestFactory
    List<DynamicTest> rows() throws IOException {
        List<DynamicTest> tests = new ArrayList<>();
        for (JsonNode node : read().required("cases")) {
            CaseRow row = new CaseRow(node);
            tests.add(DynamicTest.dynamicTest(row.id(), () -> run(row)));
        }
        assertThat(tests).isNotEmpty();
        return tests;
    }

    static void run(CaseRow row) {
        RowRunner runner = RUNNERS.get(row.group());
        assertThat(runner).as("the runner of group %s", row.group()).isNotNull();
        Supplier<Object> answer = () -> runner.answer(row);
        Expectation.check(row.toString(), row.expect(), answer);
        if (!Expectation.isError(row.expect())) {
            row.assertEverythingRead();
        }
    }

    private static JsonNode read() throws IOException {
        String file = System.getProperty("intarsia.cases");
        if (file != null) {
            return new ObjectMapper().readTree(Files.readAllBytes(Path.of(file)));
        }
        try (InputStream rows = PiecewiseCasesTest.class.getResourceAsStream("/piecewise-cases.json")) {
            return new ObjectMapper().readTree(rows.readAllBytes());
        }
    }
}
