package dev.intarsia.inspect;

import java.util.List;
import java.util.Locale;

/**
 * How long things took, as a page of SVG: for each kind of wait a curve of its percentiles, on an axis that stretches the slow end, where the
 * figures that people ask for are marked.
 */
public final class LatencyDrawing {
    private static final double WIDTH = 1000;
    private static final double MARGIN = 36;
    private static final double LEFT = MARGIN + 62;
    private static final double RIGHT = WIDTH - MARGIN;
    private static final double CHART = 210;
    private static final double[] TICKS = {0, 50, 90, 95, 99, 99.9};
    private static final double[] MARKED = {50, 95, 99};
    /** Where the axis ends: one in 2,000. */
    private static final double LAST = 99.95;
    private static final int STEPS = 240;
    private static final String[] COLOURS = {"#27639f", "#2a7a40", "#b2402c", "#6b40a5"};

    private static final String STYLE = """
            text { font-family: Helvetica, Arial, 'DejaVu Sans', sans-serif; fill: #2b2622; }
            .h1 { font-size: 24px; font-weight: bold; }
            .h2 { font-size: 16px; font-weight: bold; }
            .sub { font-size: 13px; fill: #6f675f; }
            .end { text-anchor: end; }
            .mid { text-anchor: middle; }
            .b { font-size: 14px; font-weight: bold; }
            .xs { font-size: 11px; fill: #4a433c; }
            """;

    /**
     * One kind of wait.
     *
     * @param name    such as "Time to first token"
     * @param seconds every one of them, rising
     */
    public record Waits(String name, double[] seconds) {
        public Waits {
            seconds = seconds.clone();
        }

        private double percentile(double percent) {
            double rank = percent / 100 * (seconds.length - 1);
            int below = (int) rank;
            int above = Math.min(below + 1, seconds.length - 1);
            return seconds[below] + (rank - below) * (seconds[above] - seconds[below]);
        }
    }

    private LatencyDrawing() {}

    /**
     * The drawing, an XML document.
     *
     * @param title what was measured
     * @param facts lines below the title
     * @param waits drawn one below the other; those without any are left out
     */
    public static String svg(String title, List<String> facts, List<Waits> waits) {
        Svg page = new Svg();
        page.text(MARGIN, 48, "h1", Svg.clip(title, WIDTH - 2 * MARGIN, 24));
        double y = 52;
        for (String fact : facts) {
            y += 20;
            page.text(MARGIN, y, "sub", Svg.clip(fact, WIDTH - 2 * MARGIN, 13));
        }
        int drawn = 0;
        for (Waits each : waits) {
            if (each.seconds.length > 0) {
                y = draw(page, each, y + 46, COLOURS[drawn++ % COLOURS.length]);
            }
        }
        double height = y + 24;
        Svg body = new Svg();
        body.rect(0, 0, WIDTH, height, "fill", Palette.PAPER);
        body.append(page);
        return Svg.document(WIDTH, height, title, STYLE, body);
    }

    /** Equal steps are equal factors of what is left above: 90, 99 and 99.9 are as far from each other. */
    private static double x(double percent) {
        return LEFT + (RIGHT - LEFT) * Math.log10(1 - percent / 100) / Math.log10(1 - LAST / 100);
    }

    private static double draw(Svg page, Waits waits, double top, String colour) {
        page.heading(MARGIN, top, waits.name(), waits.seconds.length + " measured, longest "
                + duration(waits.seconds[waits.seconds.length - 1]));
        double first = top + 20;
        double bottom = first + CHART;
        double ceiling = ceiling(waits.percentile(LAST));
        for (int line = 0; line <= 4; line++) {
            double at = bottom - CHART * line / 4;
            page.element("line", "x1", LEFT, "y1", at, "x2", RIGHT, "y2", at, "stroke", line == 0 ? Palette.FAINT : Palette.LINE);
            page.text(LEFT - 8, at + 4, "xs end", duration(ceiling * line / 4));
        }
        for (double tick : TICKS) {
            page.element("line", "x1", x(tick), "y1", bottom, "x2", x(tick), "y2", bottom + 5, "stroke", Palette.FAINT);
            page.text(x(tick), bottom + 18, "xs mid", tick == 0 ? "least" : "p" + (tick % 1 == 0 ? String.valueOf((int) tick) : String.valueOf(tick)));
        }
        StringBuilder path = new StringBuilder();
        for (int step = 0; step <= STEPS; step++) {
            double at = LEFT + (RIGHT - LEFT) * step / STEPS;
            double percent = 100 * (1 - Math.pow(1 - LAST / 100, (double) step / STEPS));
            double height = CHART * Math.min(1, waits.percentile(percent) / ceiling);
            path.append(String.format(Locale.ROOT, "%s%.1f %.1f", step == 0 ? "M" : " L", at, bottom - height));
        }
        page.element("path", "d", path + String.format(Locale.ROOT, " L%.1f %.1f L%.1f %.1f Z", RIGHT, bottom, LEFT, bottom),
                "fill", colour, "opacity", "0.12");
        page.element("path", "d", path, "fill", "none", "stroke", colour, "stroke-width", 2);
        for (double mark : MARKED) {
            double value = waits.percentile(mark);
            double at = bottom - CHART * Math.min(1, value / ceiling);
            page.element("line", "x1", x(mark), "y1", bottom, "x2", x(mark), "y2", at, "stroke", colour, "stroke-dasharray", "3 3");
            page.element("circle", "cx", x(mark), "cy", at, "r", 4, "fill", colour);
            String label = "p" + (int) mark + " " + duration(value);
            boolean room = x(mark) - 8 - Svg.width(label, 15) > LEFT;
            page.text(room ? x(mark) - 8 : LEFT + 6, at - (room ? 8 : 14), room ? "b end" : "b", label);
        }
        return bottom + 22;
    }

    /** The next of 1, 2, 4, 6, 8 and 10 times a power of ten: a quarter of it is a number for people. */
    private static double ceiling(double value) {
        double power = Math.pow(10, Math.floor(Math.log10(Math.max(value, 1e-9))));
        for (double factor : new double[] {1, 2, 4, 6, 8}) {
            if (value * 1.12 <= factor * power) {
                return factor * power;
            }
        }
        return value * 1.12 <= 10 * power ? 10 * power : 20 * power;
    }

    /** With three digits that count. */
    static String duration(double seconds) {
        double value = seconds;
        String unit = "s";
        if (seconds < 0.9995e-3) {
            value = seconds * 1e6;
            unit = "µs";
        } else if (seconds < 0.9995) {
            value = seconds * 1e3;
            unit = "ms";
        }
        String digits = String.format(Locale.ROOT, value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
        return (digits.contains(".") ? digits.replaceFirst("\\.?0+$", "") : digits) + " " + unit;
    }
}
