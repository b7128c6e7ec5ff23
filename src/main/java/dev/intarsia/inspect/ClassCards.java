package dev.intarsia.inspect;

import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.Piece;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.runtime.Dimension;
import java.util.ArrayList;
import java.util.List;

/** A card for each class: what is in its pieces, for which sizes it was compiled, and to which kernels. */
final class ClassCards {
    private static final int COLUMNS = 3;
    private static final double GAP = 18;
    private static final double WIDTH =
            (ReportDrawing.WIDTH - 2.0 * ReportDrawing.MARGIN - (COLUMNS - 1) * GAP) / COLUMNS;
    private static final double PAD = 12;
    private static final double INNER = WIDTH - 2 * PAD;
    private static final int MOST_KERNELS = 14;
    private static final double LINE = 15;
    private static final double KERNEL = 12.5;
    private static final double CHIP = 20;

    private final ModelReport report;
    private final Palette palette;

    ClassCards(ModelReport report, Palette palette) {
        this.report = report;
        this.palette = palette;
    }

    /** Returns where it ends. */
    double draw(Svg svg, double top) {
        svg.heading(ReportDrawing.MARGIN, top, "Classes of equal pieces",
                "each compiled once for every exact size (filled) and every range (outlined)");
        double y = top + 16;
        int count = report.classes().size();
        for (int start = 0; start < count; start += COLUMNS) {
            List<PieceClass> classes = report.classes().subList(start, Math.min(start + COLUMNS, count));
            List<Card> row = classes.stream().map(Card::new).toList();
            double height = row.stream().mapToDouble(Card::height).max().orElse(0);
            for (int column = 0; column < row.size(); column++) {
                row.get(column).draw(svg, ReportDrawing.MARGIN + column * (WIDTH + GAP), y, height);
            }
            y += height + GAP;
        }
        return y - GAP;
    }

    /** The content of one card, laid out before it is drawn, so that cards of a row can be equally high. */
    private final class Card {
        private final PieceClass of;
        private final List<String> facts = new ArrayList<>();
        private final List<List<Chip>> chips = new ArrayList<>();
        private final List<String> kernels = new ArrayList<>();

        Card(PieceClass of) {
            this.of = of;
            Piece piece = report.pieces().get(of.pieces().getFirst());
            facts.addAll(wrap(List.of(Words.ops(of.ops()).split(", "))));
            List<String> numbers = new ArrayList<>();
            if (piece.weightBytes() > 0) {
                numbers.add(Words.bytes(piece.weightBytes()) + " of weights");
            }
            if (piece.flopsPerRow() > 0) {
                numbers.add(Words.count(piece.flopsPerRow()) + "FLOP a "
                        + (of.dimension() == Dimension.TOKENS ? "token" : "row"));
            }
            long arena = of.entries().stream().mapToLong(Entry::arenaBytes).max().orElse(0);
            if (arena > 0) {
                numbers.add("scratch up to " + Words.bytes(arena));
            }
            facts.addAll(wrap(numbers));
            layChips();
            Entry largest = of.entries().getLast();
            largest.kernels().stream().limit(MOST_KERNELS).forEach(kernels::add);
            if (largest.kernels().size() > MOST_KERNELS) {
                kernels.add("… and " + (largest.kernels().size() - MOST_KERNELS) + " more");
            }
            if (of.entries().stream().map(of::kernelsOfAnySize).distinct().count() > 1) {
                kernels.add("(of " + Words.sizes(largest) + "; other sizes have others)");
            }
        }

        /** Lines of whole parts. */
        private static List<String> wrap(List<String> parts) {
            List<String> unbroken = parts.stream().map(part -> part.replace(' ', '\u00A0')).toList();
            return Svg.wrap(String.join(", ", unbroken), INNER, 12);
        }

        private void layChips() {
            double x = 0;
            for (Entry entry : of.entries()) {
                Chip chip = new Chip(Words.sizes(of, entry), entry.exact());
                if (chips.isEmpty() || x + chip.width() > INNER) {
                    chips.add(new ArrayList<>());
                    x = 0;
                }
                chips.getLast().add(chip);
                x += chip.width() + 6;
            }
        }

        double height() {
            return 32 + 8 + facts.size() * LINE + 8 + chips.size() * (CHIP + 5) + 6 + kernels.size() * KERNEL + PAD;
        }

        void draw(Svg svg, double x, double y, double height) {
            svg.open("g", "class", "card", "data-class", of.id());
            svg.rect(x, y, WIDTH, height, "rx", 9, "fill", "#ffffff", "stroke", Palette.LINE);
            palette.swatch(svg, of, x, y, WIDTH, 32, 9);
            svg.text(x + PAD, y + 21, "b", "class " + of.id());
            svg.text(x + WIDTH - PAD, y + 21, "s end", Svg.clip(
                    (of.pieces().size() == 1 ? "" : of.pieces().size() + " pieces share it: ")
                            + (of.pieces().size() == 1 ? GraphDrawing.numbers(of.pieces()) : Words.list(of.pieces())),
                    INNER - 70, 12));
            double at = y + 32 + 8;
            for (String fact : facts) {
                at += LINE;
                svg.text(x + PAD, at - 3, "s", Svg.clip(fact, INNER, 12));
            }
            at += 8;
            for (List<Chip> line : chips) {
                double left = x + PAD;
                for (Chip chip : line) {
                    chip.draw(svg, left, at, of.kind());
                    left += chip.width() + 6;
                }
                at += CHIP + 5;
            }
            at += 6;
            for (String kernel : kernels) {
                at += KERNEL;
                svg.text(x + PAD, at - 3, "mono", Svg.clipMono(kernel, INNER, 9.5));
            }
            svg.close();
        }

        /** Exact sizes are dark, ranges light. */
        private final class Chip {
            private final String text;
            private final boolean exact;

            Chip(String text, boolean exact) {
                this.text = text;
                this.exact = exact;
            }

            double width() {
                return Svg.width(text, 11) + 16;
            }

            void draw(Svg svg, double x, double y, Kind kind) {
                boolean dark = exact && kind == Kind.PLAIN;
                svg.rect(x, y, width(), CHIP, "rx", 10, "fill", dark ? palette.stroke(of) : "#ffffff", "stroke",
                        palette.stroke(of));
                svg.text(x + width() / 2, y + 14, dark ? "xs mid light" : "xs mid", text);
            }
        }
    }
}
