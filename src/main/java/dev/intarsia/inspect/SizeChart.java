package dev.intarsia.inspect;

import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.piecewise.RuntimeMode;
import dev.intarsia.runtime.Dimension;
import java.util.List;

/** The sizes of steps on a logarithmic axis: what was compiled for them, and how each is dispatched. */
final class SizeChart {
    private static final double LEFT = ReportDrawing.MARGIN + 132;
    private static final double RIGHT = ReportDrawing.WIDTH - ReportDrawing.MARGIN;
    private static final double BAR = 26;
    private static final double ROW = BAR + 8;

    private final ModelReport report;
    private final List<Entry> entries;
    private final int largest;

    SizeChart(ModelReport report) {
        this.report = report;
        this.entries = report.classes().stream()
                .filter(each -> each.kind() == Kind.PLAIN && each.dimension() == Dimension.TOKENS)
                .findFirst()
                .map(ModelReport.PieceClass::entries)
                .orElse(List.of());
        this.largest = Math.max(
                report.compilation().graphs().mixed().size() - 1,
                entries.stream().mapToInt(Entry::hi).max().orElse(1));
    }

    /** Where a size begins; the one before ends there. */
    private double x(int size) {
        return LEFT + (RIGHT - LEFT) * Math.log(size) / Math.log(largest + 1.0);
    }

    /** Returns where it ends. */
    double draw(Svg svg, double top) {
        svg.heading(ReportDrawing.MARGIN, top, "Tokens of a step",
                "which executables serve each size, and whether it is replayed; → n: padded to n");
        double y = top + 18;
        List<Entry> exact = entries.stream().filter(Entry::exact).toList();
        List<Entry> ranges = entries.stream().filter(entry -> !entry.exact()).toList();
        if (!ranges.isEmpty()) {
            y = compiled(svg, y, "compiled ranges", ranges, "#e4ddd2");
        }
        if (!exact.isEmpty()) {
            y = compiled(svg, y, "exact sizes", exact, "#b9ab97");
        }
        y = dispatch(svg, y, "decode batches", true);
        y = dispatch(svg, y, "other batches", false);
        return axis(svg, y);
    }

    private double compiled(Svg svg, double y, String name, List<Entry> shown, String fill) {
        svg.text(ReportDrawing.MARGIN, y + 17, "s", name);
        for (int i = 0; i < shown.size(); i++) {
            Entry entry = shown.get(i);
            String text = entry.exact() ? String.valueOf(entry.lo()) : Words.sizes(entry);
            double beside = x(entry.hi() + 1) + 3;
            double room = (i + 1 < shown.size() ? x(shown.get(i + 1).lo()) : RIGHT) - beside;
            if (cell(svg, y, entry.lo(), entry.hi(), fill, "xs", text, text)) {
                continue;
            }
            if (Svg.width(text, 11) <= room) {
                svg.text(beside, y + 17, "xs", text);
            } else if (i + 1 == shown.size()) {
                svg.text(x(entry.lo()) - 3, y + 17, "xs end", text);
            }
        }
        return y + ROW;
    }

    private double dispatch(Svg svg, double y, String name, boolean uniform) {
        svg.text(ReportDrawing.MARGIN, y + 17, "s", name);
        RuntimeMode before = null;
        for (DispatchRun run : DispatchRun.of(report, uniform)) {
            RuntimeMode mode = run.answer().mode();
            String padded = (run.first() == run.last() ? "" : "→ ") + run.answer().paddedTokens();
            if (run.replayed()) {
                String text = mode == before ? padded : mode + " " + padded;
                cell(svg, y, run.first(), run.last(), fill(mode), "xs light", text, padded);
            } else {
                String text = mode + ": " + run.answer().reason();
                cell(svg, y, run.first(), run.last(), fill(mode), "xs", text, mode.toString());
            }
            before = mode;
        }
        return y + ROW;
    }

    private static String fill(RuntimeMode mode) {
        return switch (mode) {
            case FULL -> Palette.FULL;
            case PIECEWISE -> Palette.PIECEWISE;
            case NONE -> Palette.NONE;
        };
    }

    /** Sizes from {@code lo} to {@code hi}, with the longest of the texts that fits; false if none does. */
    private boolean cell(Svg svg, double y, int lo, int hi, String fill, String style, String text, String brief) {
        double left = x(lo);
        double width = Math.max(x(hi + 1) - left, 1.5);
        svg.rect(left, y, width, BAR, "fill", fill, "stroke", Palette.PAPER, "stroke-width", width > 4 ? 1 : 0.4);
        String fits = Svg.width(text, 11) + 6 <= width ? text : Svg.width(brief, 11) + 4 <= width ? brief : "";
        if (!fits.isEmpty()) {
            svg.text(left + width / 2, y + 17, style + " mid", fits);
        }
        return !fits.isEmpty();
    }

    private double axis(Svg svg, double y) {
        svg.element("line", "x1", LEFT, "y1", y, "x2", RIGHT, "y2", y, "stroke", Palette.FAINT);
        for (long size = 1; size <= largest; size *= 2) {
            double at = x((int) size);
            svg.element("line", "x1", at, "y1", y, "x2", at, "y2", y + 5, "stroke", Palette.FAINT);
            boolean last = at > RIGHT - 30;
            svg.text(last ? RIGHT : at, y + 16, last ? "xs end" : "xs", String.valueOf(size));
        }
        return y + 18;
    }
}
