package dev.intarsia.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

class SvgTest {

    /** Every kind of character that a name could bring: markup, quotes, controls, half a pair, the edge of the plane. */
    @Test
    void anyTextIsWellFormed() throws Exception {
        String hostile = "a<b>&amp;\"c'\u0000\u0001\u001f\ud800x\udc00\ufffe\uffff]]>\ud83d\ude00é";
        Svg body = new Svg();
        body.open("g", "data-name", hostile).title(hostile).text(1, 2, "s", hostile).heading(3, 4, hostile, hostile).close();
        Document document = Drawings.parse(Svg.document(10, 20, hostile, "text { fill: #000; }", body));
        String expected = "a<b>&amp;\"c'\ufffd\ufffd\ufffd\ufffdx\ufffd\ufffd\ufffd]]>\ud83d\ude00é";
        Element text = (Element) document.getElementsByTagName("text").item(0);
        assertThat(text.getTextContent()).isEqualTo(expected);
        assertThat(((Element) text.getParentNode()).getAttribute("data-name")).isEqualTo(expected);
    }

    @Test
    void numbersHaveAPointWhateverTheLocale() {
        Svg body = new Svg().rect(0.25, 1.0 / 3, 100, 1e6);
        assertThat(Svg.document(1, 1, "", "", body))
                .contains("x=\"0.3\" y=\"0.3\" width=\"100\" height=\"1000000\"");
    }

    @Test
    void textIsCutAndWrappedToAWidth() {
        assertThat(Svg.clip("attention", 1000, 12)).isEqualTo("attention");
        String cut = Svg.clip("attention, linear", 60, 12);
        assertThat(cut).startsWith("attent").endsWith("…");
        assertThat(Svg.width(cut, 12)).isLessThanOrEqualTo(60);
        List<String> lines = Svg.wrap("one two three four", Svg.width("one two", 12), 12);
        assertThat(lines).containsExactly("one two", "three", "four");
        assertThat(Svg.wrap("", 10, 12)).isEmpty();
    }
}
