package dev.intarsia.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.inspect.LatencyDrawing.Waits;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.IntStream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

class LatencyDrawingTest {

    private static Document draw(Waits... waits) throws Exception {
        String svg = LatencyDrawing.svg("a <server> & more", List.of("one", "two"), List.of(waits));
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
    }

    private static List<String> texts(Document document) {
        NodeList nodes = document.getElementsByTagName("text");
        return IntStream.range(0, nodes.getLength()).mapToObj(i -> nodes.item(i).getTextContent()).toList();
    }

    @Test
    void theFiguresThatPeopleAskForAreThere() throws Exception {
        double[] seconds = IntStream.rangeClosed(0, 100).mapToDouble(i -> i / 1000.0).toArray();
        Document document = draw(new Waits("First", seconds), new Waits("None", new double[0]), new Waits("One", new double[] {2}));

        assertThat(texts(document)).contains("a <server> & more", "one", "two", "p50 50 ms", "p95 95 ms", "p99 99 ms", "p50 2 s", "p99 2 s")
                .anyMatch(text -> text.startsWith("First101 measured, longest 100 ms"))
                .noneMatch(text -> text.startsWith("None"));
    }

    @Test
    void curvesStayWithinTheirAxes() throws Exception {
        double[] seconds = IntStream.range(0, 10_000).mapToDouble(i -> 1e-5 / (1.0001 - i / 10_000.0)).sorted().toArray();
        NodeList paths = draw(new Waits("w", seconds)).getElementsByTagName("path");
        assertThat(paths.getLength()).isEqualTo(2);
        String[] points = ((org.w3c.dom.Element) paths.item(1)).getAttribute("d").replaceAll("[ML]", "").trim().split(" +");
        for (int i = 0; i < points.length; i += 2) {
            assertThat(Double.parseDouble(points[i])).isBetween(0.0, 1000.0);
            assertThat(Double.parseDouble(points[i + 1])).isBetween(90.0, 400.0);
        }
    }

    @Test
    void durationsHaveThreeDigits() {
        assertThat(LatencyDrawing.duration(0)).isEqualTo("0 µs");
        assertThat(LatencyDrawing.duration(0.0000123)).isEqualTo("12.3 µs");
        assertThat(LatencyDrawing.duration(0.00123)).isEqualTo("1.23 ms");
        assertThat(LatencyDrawing.duration(0.1)).isEqualTo("100 ms");
        assertThat(LatencyDrawing.duration(0.9996)).isEqualTo("1 s");
        assertThat(LatencyDrawing.duration(12.34)).isEqualTo("12.3 s");
    }
}
