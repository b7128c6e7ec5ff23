package dev.intarsia.inspect;

import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.Piece;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.piecewise.CompilationState.Recorded;
import dev.intarsia.piecewise.RuntimeMode;
import dev.intarsia.runtime.Dimension;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * The pieces in the order in which they run, repeated stretches drawn once with the number of times, and around them
 * what is recorded.
 */
final class GraphDrawing {
    private static final double PLAIN = 132;
    private static final double SPLITTING = 108;
    private static final double END = 56;
    private static final double HEIGHT = 84;
    private static final double GAP = 26;
    /** Where tokens become rows. */
    private static final double WIDE_GAP = 42;
    /** Around a stretch that repeats. */
    private static final double PAD = 10;
    private static final double ROW = HEIGHT + 64;
    private static final double LEFT = ReportDrawing.MARGIN + 18;
    private static final double RIGHT = ReportDrawing.WIDTH - ReportDrawing.MARGIN - 18;

    private final ModelReport report;
    private final Palette palette;
    private final Set<Integer> recordedAlone;
    private final List<Fold> folds;
    private final List<Box> boxes = new ArrayList<>();
    private double x = LEFT;
    private int row;

    /**
     * @param piece  null for the ends of the step
     * @param fold   that it is in, -1 for the ends
     * @param text   of an end
     */
    private record Box(Piece piece, int fold, String text, double x, int row, double width) {
        double right() {
            return x + width;
        }
    }

    GraphDrawing(ModelReport report, Palette palette) {
        this.report = report;
        this.palette = palette;
        this.recordedAlone = recordings(RuntimeMode.PIECEWISE).stream()
                .map(Recorded::piece)
                .collect(Collectors.toCollection(HashSet::new));
        this.folds = Fold.of(report.pieces().stream().map(Piece::classId).toList());
    }

    private boolean hasSplitting() {
        return report.classes().stream().anyMatch(each -> each.kind() == Kind.SPLITTING);
    }

    private List<Recorded> recordings(RuntimeMode mode) {
        return report.compilation().graphs().recorded().stream().filter(each -> each.mode() == mode).toList();
    }

    /** Returns where it ends. */
    double draw(Svg svg, double top) {
        place();
        svg.heading(ReportDrawing.MARGIN, top, "The cut graph", (hasSplitting()
                ? "cut at " + String.join(", ", report.compilation().config().splittingOps())
                : "not cut before the logits")
                + "; pieces of one colour and class share their executables");
        double frame = top + 30;
        double bottom = frame + 54 + (row + 1) * ROW - 42;
        boolean full = !recordings(RuntimeMode.FULL).isEmpty();
        svg.rect(ReportDrawing.MARGIN, frame, ReportDrawing.WIDTH - 2 * ReportDrawing.MARGIN, bottom - frame, "rx", 14,
                "fill", "#ffffff", "stroke", full ? Palette.FULL : Palette.LINE, "stroke-width", full ? 3 : 1);
        if (full) {
            tab(svg, frame, fullText());
        }
        double first = frame + 54;
        for (int i = 0; i < folds.size(); i++) {
            if (folds.get(i).times() > 1) {
                panel(svg, i, first);
            }
        }
        for (int i = 0; i < boxes.size(); i++) {
            if (i > 0) {
                arrow(svg, boxes.get(i - 1), boxes.get(i), first);
            }
            box(svg, boxes.get(i), first + boxes.get(i).row * ROW);
        }
        return legend(svg, bottom + 24);
    }

    // ---------------------------------------------------------------------------------------------------------- places

    private void place() {
        end("tokens");
        for (int i = 0; i < folds.size(); i++) {
            Fold fold = folds.get(i);
            double pad = fold.times() > 1 ? PAD : 0;
            List<Piece> pieces = report.pieces().subList(fold.start(), fold.start() + fold.period());
            double whole = 2 * pad + pieces.stream().mapToDouble(piece -> width(piece) + GAP).sum() - GAP;
            if (x + whole > RIGHT && whole <= RIGHT - LEFT) {
                newRow();
            }
            x += pad;
            for (Piece piece : pieces) {
                if (entersRows(piece) && x > LEFT) {
                    x += WIDE_GAP - GAP;
                }
                add(piece, i, "", width(piece));
            }
            x += pad;
        }
        end("sample");
    }

    private void end(String text) {
        add(null, -1, text, END);
    }

    private void add(Piece piece, int fold, String text, double width) {
        if (x + width > RIGHT) {
            newRow();
        }
        boxes.add(new Box(piece, fold, text, x, row, width));
        x += width + GAP;
    }

    private void newRow() {
        x = LEFT;
        row++;
    }

    private double width(Piece piece) {
        return report.classOf(piece).kind() == Kind.SPLITTING ? SPLITTING : PLAIN;
    }

    /** Whether it is the first piece over rows. */
    private boolean entersRows(Piece piece) {
        int at = report.pieces().indexOf(piece);
        return over(piece) == Dimension.ROWS && at > 0 && over(report.pieces().get(at - 1)) == Dimension.TOKENS;
    }

    private Dimension over(Piece piece) {
        return report.classOf(piece).dimension();
    }

    // --------------------------------------------------------------------------------------------------------- drawing

    private void tab(Svg svg, double frame, String text) {
        double width = Svg.width(text, 12) + 24;
        svg.rect(ReportDrawing.MARGIN + 22, frame - 12, width, 24, "rx", 12, "fill", Palette.FULL);
        svg.text(ReportDrawing.MARGIN + 34, frame + 4.5, "s light", text);
    }

    private String fullText() {
        List<Recorded> recordings = recordings(RuntimeMode.FULL);
        return "FULL: the whole step as one recording, for " + sizes(recordings)
                + (recordings.getFirst().batch().uniform() ? " of decoding" : "");
    }

    private static String sizes(List<Recorded> recordings) {
        TreeSet<Integer> sizes = recordings.stream()
                .map(each -> each.batch().tokens())
                .collect(Collectors.toCollection(TreeSet::new));
        return Words.list(List.copyOf(sizes)) + (sizes.last() == 1 ? " token" : " tokens");
    }

    /** Behind a stretch that repeats, on every row that it reaches. */
    private void panel(Svg svg, int fold, double first) {
        List<Integer> rows = boxes.stream().filter(box -> box.fold == fold).map(Box::row).distinct().toList();
        for (int part = 0; part < rows.size(); part++) {
            int on = rows.get(part);
            List<Box> inside = boxes.stream().filter(box -> box.fold == fold && box.row == on).toList();
            String times = "× " + folds.get(fold).times()
                    + (rows.size() == 1 ? "" : ", part " + (part + 1) + " of " + rows.size());
            double left = inside.getFirst().x - PAD;
            double width = inside.getLast().right() + PAD - left;
            double y = first + on * ROW - 20;
            svg.rect(left, y, width, HEIGHT + 33, "rx", 12, "fill", "#f6f1e8", "stroke", Palette.LINE);
            double badge = Svg.width(times, 14) + 26;
            svg.rect(left + width / 2 - badge / 2, y - 12, badge, 24, "rx", 12, "fill", Palette.INK);
            svg.text(left + width / 2, y + 5, "b mid light", times);
        }
    }

    private void box(Svg svg, Box box, double y) {
        if (box.piece == null) {
            svg.rect(box.x, y + HEIGHT / 2 - 15, box.width, 30, "rx", 15, "fill", "#ffffff", "stroke", Palette.FAINT);
            svg.text(box.x + box.width / 2, y + HEIGHT / 2 + 4, "s mid", box.text);
            return;
        }
        PieceClass of = report.classOf(box.piece);
        Fold fold = folds.get(box.fold);
        List<Integer> same = new ArrayList<>();
        for (int i = 0; i < fold.times(); i++) {
            same.add(box.piece.index() + i * fold.period());
        }
        svg.open("g", "class", "piece", "data-class", of.id(), "data-pieces",
                same.stream().map(String::valueOf).collect(Collectors.joining(" ")));
        svg.title("class " + of.id() + ": " + Words.ops(of.ops()));
        palette.swatch(svg, of, box.x, y, box.width, HEIGHT, 8);
        if (recordedAlone.contains(box.piece.index())) {
            svg.rect(box.x - 4, y - 4, box.width + 8, HEIGHT + 8, "rx", 11, "fill", "none", "stroke", Palette.PIECEWISE,
                    "stroke-width", 2, "stroke-dasharray", "5 3");
        }
        double middle = box.x + box.width / 2;
        String kernels = Words.plural(of.entries().getLast().kernels().size(), "kernel");
        svg.text(middle, y + 24, "b mid", "class " + of.id());
        svg.text(middle, y + 42, "s mid", Svg.clip(what(of), box.width - 8, 12));
        svg.text(middle, y + 57, "xs mid", Svg.clip(
                of.kind() != Kind.PLAIN ? kernels : Words.plural(of.ops().size(), "op") + " → " + kernels,
                box.width - 8, 11));
        String numbers = numbers(same);
        svg.text(middle, y + 73, "xs mid", Svg.width(numbers, 11) <= box.width - 6
                ? numbers : same.getFirst() + " … " + same.getLast());
        svg.close();
    }

    private static String what(PieceClass of) {
        if (of.dimension() == Dimension.ROWS) {
            return "logits";
        }
        return switch (of.kind()) {
            case SPLITTING -> Words.ops(of.ops());
            case OP_BY_OP -> "op by op";
            case PLAIN -> of.frozen() == 0 ? "compiled" : "static, " + Words.plural(of.frozen(), "token");
        };
    }

    static String numbers(List<Integer> pieces) {
        return pieces.size() == 1 ? "piece " + pieces.getFirst() : "pieces " + brief(pieces);
    }

    /** {@code 2, 4 … 54}. */
    private static String brief(List<Integer> numbers) {
        return numbers.size() <= 3
                ? numbers.stream().map(String::valueOf).collect(Collectors.joining(", "))
                : numbers.getFirst() + ", " + numbers.get(1) + " … " + numbers.getLast();
    }

    private void arrow(Svg svg, Box from, Box to, double first) {
        double y = first + from.row * ROW + HEIGHT / 2;
        String path;
        if (from.row == to.row) {
            path = "M" + round(from.right() + 3) + " " + round(y) + " H" + round(to.x - 4);
        } else {
            double turn = y + ROW / 2 + 4;
            double next = first + to.row * ROW + HEIGHT / 2;
            path = "M" + round(from.right() + 3) + " " + round(y) + " h7 V" + round(turn) + " H" + round(to.x - 12)
                    + " V" + round(next) + " H" + round(to.x - 4);
        }
        svg.element("path", "d", path, "fill", "none", "stroke", Palette.FAINT, "stroke-width", "1.4", "marker-end",
                "url(#arrow)");
        if (to.piece != null && from.piece != null && over(from.piece) != over(to.piece) && from.row == to.row) {
            svg.text((from.right() + to.x) / 2, y - 7, "xs mid", "rows");
        }
    }

    private static double round(double value) {
        return Math.round(value * 10) / 10.0;
    }

    private double legend(Svg svg, double y) {
        double at = ReportDrawing.MARGIN;
        if (hasSplitting()) {
            svg.rect(at, y - 11, 22, 14, "rx", 4, "fill", "#f1ede7");
            svg.rect(at, y - 11, 22, 14, "rx", 4, "fill", "url(#hatch)", "opacity", "0.55", "stroke", "#857c72");
            String splitting = "at a splitting op: one executable for all sizes";
            svg.text(at + 30, y, "s", splitting);
            at += 30 + Svg.width(splitting, 12) + 10;
        }
        List<Recorded> alone = recordings(RuntimeMode.PIECEWISE);
        if (!alone.isEmpty()) {
            svg.rect(at, y - 11, 22, 14, "rx", 4, "fill", "none", "stroke", Palette.PIECEWISE, "stroke-width", 2,
                    "stroke-dasharray", "5 3");
            svg.text(at + 30, y, "s", Svg.clip("PIECEWISE: recorded by itself, for " + sizes(alone) + "; "
                            + Words.plural(alone.size(), "recording"),
                    ReportDrawing.WIDTH - ReportDrawing.MARGIN - at - 30, 12));
        } else if (recordings(RuntimeMode.FULL).isEmpty()) {
            svg.text(at, y, "s", "no recordings: graph mode " + report.compilation().graphs().mode());
        }
        return y;
    }
}
