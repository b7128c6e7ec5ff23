package dev.intarsia.inspect;

import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.PieceClass;
import java.util.ArrayList;
import java.util.List;

/**
 * Colours. Each plain class has one of its own; where they run out, lines are drawn over them. Splitting classes are
 * grey and hatched.
 */
final class Palette {
    static final String INK = "#2b2622";
    static final String FAINT = "#6f675f";
    static final String LINE = "#cfc7bd";
    static final String PAPER = "#fdfbf7";
    static final String FULL = "#7a2e1d";
    static final String PIECEWISE = "#c98a2b";
    static final String NONE = "#efeae2";

    /** Fill and stroke. */
    private static final String[][] COLOURS = {
        {"#cfe2f5", "#27639f"},
        {"#cdebd0", "#2a7a40"},
        {"#e4d5f3", "#6b40a5"},
        {"#fbd9d3", "#b2402c"},
        {"#c4eae6", "#12736c"},
        {"#f6e9a8", "#7d6a00"},
        {"#f7d0e0", "#a32f63"},
        {"#e3d5c5", "#74502e"}
    };

    private static final String HATCH = "hatch";
    private static final String STRIPES = "stripes";

    private final List<Integer> plain = new ArrayList<>();

    Palette(ModelReport report) {
        report.classes().stream()
                .filter(each -> each.kind() != Kind.SPLITTING)
                .forEach(each -> plain.add(each.id()));
    }

    /** The patterns that {@link #overlay} names. */
    static void define(Svg svg) {
        svg.open("defs");
        pattern(svg, HATCH, 45, "#b9b1a7");
        pattern(svg, STRIPES, 90, "#ffffff");
        svg.open("marker", "id", "arrow", "viewBox", "0 0 8 8", "refX", 7, "refY", 4, "markerWidth", 7,
                "markerHeight", 7, "orient", "auto");
        svg.element("path", "d", "M0 0.5 L8 4 L0 7.5 Z", "fill", FAINT);
        svg.close();
        svg.close();
    }

    private static void pattern(Svg svg, String id, int angle, String colour) {
        svg.open("pattern", "id", id, "width", 7, "height", 7, "patternUnits", "userSpaceOnUse", "patternTransform",
                "rotate(" + angle + ")");
        svg.element("line", "x1", 0, "y1", 0, "x2", 0, "y2", 7, "stroke", colour, "stroke-width", 2);
        svg.close();
    }

    String fill(PieceClass of) {
        return of.kind() == Kind.SPLITTING ? "#f1ede7" : colour(of)[0];
    }

    String stroke(PieceClass of) {
        return of.kind() == Kind.SPLITTING ? "#857c72" : colour(of)[1];
    }

    private String[] colour(PieceClass of) {
        return COLOURS[plain.indexOf(of.id()) % COLOURS.length];
    }

    /** A rectangle in the colour of a class. */
    void swatch(Svg svg, PieceClass of, double x, double y, double width, double height, double radius) {
        svg.rect(x, y, width, height, "rx", radius, "fill", fill(of));
        String overlay = overlay(of);
        if (overlay != null) {
            svg.rect(x, y, width, height, "rx", radius, "fill", "url(#" + overlay + ")", "opacity", "0.55");
        }
        svg.rect(x, y, width, height, "rx", radius, "fill", "none", "stroke", stroke(of), "stroke-width", "1.4");
    }

    private String overlay(PieceClass of) {
        return of.kind() == Kind.SPLITTING ? HATCH : plain.indexOf(of.id()) >= COLOURS.length ? STRIPES : null;
    }
}
