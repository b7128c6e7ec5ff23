package dev.intarsia.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.TestModels;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.GraphMode;
import java.awt.geom.Rectangle2D;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** What is drawn: well-formed, on the page, every piece once. That it is fine to look at only eyes can say. */
@Timeout(120)
class ReportDrawingTest {

    private static ModelReport holmes(EngineOptions.Builder options) {
        try (Engine engine = Engine.open(TestModels.holmes(), options.build())) {
            return engine.inspect();
        }
    }

    private static ModelReport deep(EngineOptions.Builder options) {
        try (Engine engine = Engine.openRandom(
                TestModels.resource("/configs/qwen3-28-layers.json"), 1, options.maxNumSeqs(8).build())) {
            return engine.inspect();
        }
    }

    static Stream<Arguments> reports() {
        return Stream.of(
                Arguments.of("shipped", holmes(EngineOptions.builder())),
                Arguments.of("ranges and sizes", holmes(EngineOptions.builder()
                        .compileRanges(List.of(8, 64, 512)).compileSizes(List.of(1, 2, 4, 16, 24, 3000)))),
                Arguments.of("static", holmes(EngineOptions.builder().maxNumBatchedTokens(1))),
                Arguments.of("not split", holmes(EngineOptions.builder().splittingOps(List.of()))),
                Arguments.of("op by op", holmes(EngineOptions.builder().compilation(CompilationMode.NONE))),
                Arguments.of("no graphs", holmes(EngineOptions.builder().graphMode(GraphMode.NONE))),
                Arguments.of("deep", deep(EngineOptions.builder())),
                Arguments.of("deep, many pieces", deep(EngineOptions.builder()
                        .splittingOps(List.of("attention", "rope", "linear", "rms_norm")))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("reports")
    void everyPieceIsDrawnOnceInOrderOnOnePage(String name, ModelReport report) throws Exception {
        Document document = Drawings.parse(ReportDrawing.svg(report));
        Element root = document.getDocumentElement();
        assertThat(root.getAttribute("width")).isEqualTo("1200");
        double height = Double.parseDouble(root.getAttribute("height"));
        assertThat(height).isBetween(300.0, 3000.0);

        List<Element> boxes = Drawings.groups(document, "piece");
        assertThat(boxes).hasSizeLessThanOrEqualTo(40);
        List<Integer> drawn = new ArrayList<>();
        for (Element box : boxes) {
            int classId = Integer.parseInt(box.getAttribute("data-class"));
            List<Integer> pieces = Arrays.stream(box.getAttribute("data-pieces").split(" ")).map(Integer::valueOf).toList();
            assertThat(pieces).allSatisfy(
                    piece -> assertThat(report.pieces().get(piece).classId()).isEqualTo(classId));
            assertThat(box.getTextContent()).contains("class " + classId);
            drawn.addAll(pieces);
        }
        assertThat(drawn).containsExactlyInAnyOrderElementsOf(IntStream.range(0, report.pieces().size()).boxed().toList());
        assertThat(boxes.stream().map(box -> Integer.valueOf(box.getAttribute("data-pieces").split(" ")[0])).toList())
                .isSorted();
        assertDisjoint(boxes.stream().map(ReportDrawingTest::firstRectangle).toList(), height);

        List<Element> cards = Drawings.groups(document, "card");
        assertThat(cards).extracting(card -> card.getAttribute("data-class"))
                .containsExactlyElementsOf(report.classes().stream().map(each -> String.valueOf(each.id())).toList());
        assertDisjoint(cards.stream().map(ReportDrawingTest::firstRectangle).toList(), height);
        for (Element text : Drawings.elements(document, "text")) {
            assertThat(Double.parseDouble(text.getAttribute("x"))).isBetween(0.0, 1200.0);
            assertThat(Double.parseDouble(text.getAttribute("y"))).isBetween(0.0, height);
        }
    }

    private static Rectangle2D firstRectangle(Element group) {
        Element rectangle = (Element) group.getElementsByTagName("rect").item(0);
        return new Rectangle2D.Double(
                Double.parseDouble(rectangle.getAttribute("x")),
                Double.parseDouble(rectangle.getAttribute("y")),
                Double.parseDouble(rectangle.getAttribute("width")),
                Double.parseDouble(rectangle.getAttribute("height")));
    }

    private static void assertDisjoint(List<Rectangle2D> rectangles, double height) {
        Rectangle2D page = new Rectangle2D.Double(0, 0, 1200, height);
        for (int i = 0; i < rectangles.size(); i++) {
            assertThat(page.contains(rectangles.get(i))).as("%s", rectangles.get(i)).isTrue();
            for (int j = 0; j < i; j++) {
                assertThat(rectangles.get(i).intersects(rectangles.get(j))).as("%d and %d", i, j).isFalse();
            }
        }
    }

    @Test
    void theLayersOfADeepModelAreFolded() throws Exception {
        ModelReport report = deep(EngineOptions.builder());
        assertThat(report.pieces()).hasSize(58);
        Document document = Drawings.parse(ReportDrawing.svg(report));
        assertThat(Drawings.groups(document, "piece")).hasSize(6);
        assertThat(texts(document)).contains("× 27", "28 pieces share it: 1..55 by 2", "27 pieces share it: 2..54 by 2");
    }

    @Test
    void equalClassesHaveEqualColoursAndOthersHaveOthers() throws Exception {
        Document document = Drawings.parse(ReportDrawing.svg(holmes(EngineOptions.builder())));
        Set<String> plain = new HashSet<>();
        for (Element card : Drawings.groups(document, "card")) {
            String classId = card.getAttribute("data-class");
            String fill = fill(card, 1); // behind it lies the card
            plain.add(fill);
            assertThat(Drawings.groups(document, "piece"))
                    .filteredOn(box -> box.getAttribute("data-class").equals(classId))
                    .isNotEmpty()
                    .allSatisfy(box -> assertThat(fill(box, 0)).isEqualTo(fill));
        }
        assertThat(plain).hasSize(5);
    }

    private static String fill(Element group, int rectangle) {
        return ((Element) group.getElementsByTagName("rect").item(rectangle)).getAttribute("fill");
    }

    @Test
    void compiledSizesAndRecordingsAreNamed() throws Exception {
        String drawn = String.join("\n", texts(Drawings.parse(ReportDrawing.svg(holmes(EngineOptions.builder()
                .maxNumSeqs(4)
                .compileRanges(List.of(8))
                .compileSizes(List.of(4)))))));
        assertThat(drawn)
                .contains("exactly 4 tokens", "1..8 tokens", "9..2048 tokens", "1..4 rows")
                .contains("FULL: the whole step as one recording, for 1, 2, 4 tokens of decoding")
                .contains("PIECEWISE: recorded by itself, for 1, 2, 4, 8 tokens; 28 recordings")
                .contains("cut at attention");
        assertThat(String.join("\n", texts(Drawings.parse(ReportDrawing.svg(
                        holmes(EngineOptions.builder().graphMode(GraphMode.NONE)))))))
                .contains("no recordings: graph mode NONE")
                .doesNotContain("FULL:", "PIECEWISE:");
    }

    private static List<String> texts(Document document) {
        return Drawings.elements(document, "text").stream().map(Element::getTextContent).toList();
    }
}
