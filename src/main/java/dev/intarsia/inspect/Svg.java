package dev.intarsia.inspect;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Locale;

/** Writes SVG elements. Attributes are given as name, value, name, value; lengths are in pixels. */
final class Svg {
    /** Width of a character in ems, as wide as common sans-serif fonts are; of monospaced ones. */
    private static final double SANS = 0.56;
    private static final double MONO = 0.605;

    private final StringBuilder out = new StringBuilder();
    private final Deque<String> open = new ArrayDeque<>();

    /** A whole document around a body. */
    static String document(double width, double height, String label, String style, Svg body) {
        Svg svg = new Svg();
        svg.out.append("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        svg.open("svg", "xmlns", "http://www.w3.org/2000/svg", "width", width, "height", height,
                "viewBox", "0 0 " + number(width) + " " + number(height), "role", "img");
        svg.title(label);
        svg.open("style").content(style).close();
        svg.out.append(body.out);
        return svg.close().out.toString();
    }

    Svg open(String element, Object... attributes) {
        tag(element, attributes).append(">\n");
        open.push(element);
        return this;
    }

    Svg close() {
        out.append("</").append(open.pop()).append(">\n");
        return this;
    }

    Svg element(String element, Object... attributes) {
        tag(element, attributes).append("/>\n");
        return this;
    }

    Svg rect(double x, double y, double width, double height, Object... attributes) {
        tag("rect", "x", x, "y", y, "width", width, "height", height);
        attributes(attributes);
        out.append("/>\n");
        return this;
    }

    /** Text whose baseline begins, or ends or is centred where {@code style} says so, at a point. */
    Svg text(double x, double y, String style, String text, Object... attributes) {
        tag("text", "x", x, "y", y, "class", style);
        attributes(attributes);
        out.append('>').append(escape(text)).append("</text>\n");
        return this;
    }

    /** A heading and what follows it on its line. */
    Svg heading(double x, double y, String heading, String rest) {
        tag("text", "x", x, "y", y).append("><tspan class=\"h2\">").append(escape(heading));
        out.append("</tspan><tspan class=\"sub\" dx=\"12\">").append(escape(rest)).append("</tspan></text>\n");
        return this;
    }

    /** What a viewer shows for the element that is open. */
    Svg title(String text) {
        out.append("<title>").append(escape(text)).append("</title>\n");
        return this;
    }

    /** All of another one's elements. */
    Svg append(Svg other) {
        out.append(other.out);
        return this;
    }

    private Svg content(String text) {
        out.append(escape(text)).append('\n');
        return this;
    }

    private StringBuilder tag(String element, Object... attributes) {
        out.append('<').append(element);
        attributes(attributes);
        return out;
    }

    private void attributes(Object... attributes) {
        for (int i = 0; i < attributes.length; i += 2) {
            Object value = attributes[i + 1];
            out.append(' ').append(attributes[i]).append("=\"");
            out.append(value instanceof Number length ? number(length.doubleValue()) : escape(value.toString()));
            out.append('"');
        }
    }

    private static String number(double value) {
        String text = String.format(Locale.ROOT, "%.1f", value);
        return text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
    }

    /** Text as content or attribute; what XML does not allow at all becomes a replacement character. */
    static String escape(String text) {
        StringBuilder escaped = new StringBuilder();
        text.codePoints().forEach(c -> {
            switch (c) {
                case '&' -> escaped.append("&amp;");
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '"' -> escaped.append("&quot;");
                default -> escaped.appendCodePoint(allowed(c) ? c : 0xFFFD);
            }
        });
        return escaped.toString();
    }

    /** {@code Char} of XML 1.0. */
    private static boolean allowed(int c) {
        boolean blank = c == '\t' || c == '\n' || c == '\r';
        return blank || c >= 0x20 && c < 0xD800 || c >= 0xE000 && c <= 0xFFFD || c > 0xFFFF;
    }

    // ------------------------------------------------------------------------------------------------- widths of text

    /** Text cut to a width, in a font of a size. */
    static String clip(String text, double width, double size) {
        return clipTo(text, (int) (width / (size * SANS)));
    }

    /** Text cut to a width, in a monospaced font of a size. */
    static String clipMono(String text, double width, double size) {
        return clipTo(text, (int) (width / (size * MONO)));
    }

    private static String clipTo(String text, int characters) {
        return text.length() <= characters ? text : text.substring(0, Math.max(0, characters - 1)) + "…";
    }

    static double width(String text, double size) {
        return text.length() * size * SANS;
    }

    /** Lines of whole words that fit a width. */
    static List<String> wrap(String text, double width, double size) {
        List<String> lines = new ArrayList<>();
        StringBuilder line = new StringBuilder();
        for (String word : text.split(" ")) {
            if (!line.isEmpty() && width(line + " " + word, size) > width) {
                lines.add(line.toString());
                line.setLength(0);
            }
            line.append(line.isEmpty() ? "" : " ").append(word);
        }
        if (!line.isEmpty()) {
            lines.add(line.toString());
        }
        return lines;
    }
}
