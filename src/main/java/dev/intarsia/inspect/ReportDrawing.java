package dev.intarsia.inspect;

import dev.intarsia.EngineInfo;
import dev.intarsia.checkpoint.ModelConfig;

/** A {@link ModelReport} as one page of SVG, {@value #WIDTH} pixels wide. */
public final class ReportDrawing {
    static final int WIDTH = 1200;
    static final int MARGIN = 36;

    private static final String STYLE = """
            text { font-family: Helvetica, Arial, 'DejaVu Sans', sans-serif; fill: #2b2622; }
            .h1 { font-size: 24px; font-weight: bold; }
            .h2 { font-size: 16px; font-weight: bold; }
            .sub { font-size: 13px; fill: #6f675f; }
            .end { text-anchor: end; }
            .mid { text-anchor: middle; }
            .b { font-size: 14px; font-weight: bold; }
            .s { font-size: 12px; }
            .xs { font-size: 11px; fill: #4a433c; }
            .light { fill: #ffffff; }
            .mono { font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: 9.5px; fill: #4a433c; }
            """;

    private ReportDrawing() {}

    /** The drawing, an XML document. */
    public static String svg(ModelReport report) {
        Palette palette = new Palette(report);
        Svg body = new Svg();
        Palette.define(body);
        Svg page = new Svg();
        double y = title(page, report);
        y = new GraphDrawing(report, palette).draw(page, y + 30);
        y = new SizeChart(report).draw(page, y + 34);
        y = new ClassCards(report, palette).draw(page, y + 34);
        double height = y + 28;
        body.rect(0, 0, WIDTH, height, "fill", Palette.PAPER);
        body.append(page);
        return Svg.document(WIDTH, height, report.model().architecture() + ", cut and compiled", STYLE, body);
    }

    private static double title(Svg svg, ModelReport report) {
        ModelConfig model = report.model();
        EngineInfo engine = report.engine();
        double right = WIDTH - MARGIN;
        svg.text(MARGIN, 52, "h1", Svg.clip(model.architecture(), 700, 24));
        svg.text(MARGIN, 74, "sub", Words.plural(model.numLayers(), "layer") + " · hidden " + model.hiddenSize()
                + " · MLP " + model.intermediateSize() + " · heads " + model.numHeads() + "/" + model.numKvHeads()
                + " × " + model.headDim() + " · vocabulary " + model.vocabSize()
                + (model.tieWordEmbeddings() ? ", tied" : ""));
        svg.text(MARGIN, 93, "sub", Words.count(report.flopsPerToken()) + "FLOP a token and "
                + Words.count(report.flopsPerRow()) + "FLOP for its logits · "
                + Words.bytes(report.weightBytesPerStep()) + " of weights read a step");
        svg.text(right, 50, "b end", Words.plural(report.pieces().size(), "piece") + ", "
                + Words.plural(report.classes().size(), "class") + ", "
                + Words.plural(report.executables(), "compiled executable") + ", "
                + Words.plural(report.compilation().graphs().recorded().size(), "recording"));
        svg.text(right, 74, "sub end", Svg.clip(engine.device() + " · tier " + engine.cpuTier() + " · "
                + Words.plural(engine.threads(), "thread") + " · "
                + engine.mode(), 560, 13));
        svg.text(right, 93, "sub end", "graph mode " + report.compilation().graphs().mode());
        return 100;
    }
}
