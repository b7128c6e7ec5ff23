package dev.intarsia.cli;

import dev.intarsia.EngineInfo;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.inspect.DispatchRun;
import dev.intarsia.inspect.Fold;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Piece;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.inspect.Words;
import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationCounters;
import dev.intarsia.piecewise.CompilationPhase;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompilationState.Recorded;
import dev.intarsia.piecewise.RuntimeMode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** A {@link ModelReport} for people: what repeats is said once. */
final class InspectText {
    private static final String INDENT = "  ";
    private static final int LEAST_FOLD = 20;

    private final ModelReport report;
    private final CompilationState state;
    private final StringBuilder text = new StringBuilder();

    private InspectText(ModelReport report) {
        this.report = report;
        this.state = report.compilation();
    }

    static String of(ModelReport report) {
        InspectText text = new InspectText(report);
        text.overview();
        text.pieces();
        report.classes().forEach(text::pieceClass);
        text.recordings();
        text.dispatch("decode batches, one token a sequence", true);
        text.dispatch("all other batches", false);
        text.history();
        return text.text.toString().stripTrailing();
    }

    private void overview() {
        ModelConfig model = report.model();
        EngineInfo engine = report.engine();
        line("model", model.architecture() + ", " + Words.plural(model.numLayers(), "layer") + ", hidden "
                + model.hiddenSize() + ", MLP " + model.intermediateSize() + ", heads " + model.numHeads() + "/"
                + model.numKvHeads() + " x " + model.headDim() + ", vocabulary " + model.vocabSize()
                + (model.tieWordEmbeddings() ? ", tied" : ""));
        line("device", engine.device() + (engine.deviceNote().isEmpty() ? "" : ", " + engine.deviceNote()) + ", tier " + engine.cpuTier() + ", "
                + Words.plural(engine.threads(), "thread") + ", "
                + engine.mode());
        line("limits", Words.plural(engine.maxModelLen(), "token") + " a sequence, "
                + Words.plural(engine.maxNumBatchedTokens(), "token") + " and "
                + Words.plural(engine.maxNumSeqs(), "sequence") + " a step");
        line("memory", Words.bytes(engine.weightBytes()) + " of weights, " + Words.bytes(engine.kvCacheBytes())
                + " of KV cache in " + Words.plural(engine.kvBlocks(), "block"));
        line("a token", Words.count(report.flopsPerToken()) + " FLOP, and " + Words.count(report.flopsPerRow())
                + " for its logits; reads " + Words.bytes(report.weightBytesPerStep()) + " of weights");
        CompilationConfig config = state.config();
        line("asked for", "compilation " + config.mode() + ", dynamic shapes " + config.dynamicShapes()
                + ", splitting ops "
                + (config.splittingOps().isEmpty() ? "none" : String.join(", ", config.splittingOps()))
                + (config.compileSizes().isEmpty() ? "" : ", exact sizes " + Words.list(config.compileSizes())));
    }

    private void pieces() {
        title(Words.plural(report.pieces().size(), "piece") + " of " + Words.plural(report.classes().size(), "class"));
        Table table = new Table("piece", "class", "kind", "over", "ops", "kernels", "weights", "FLOP a row", "");
        List<Integer> classes = report.pieces().stream().map(Piece::classId).toList();
        for (Fold fold : Fold.of(classes)) {
            for (int i = 0; i < fold.period(); i++) {
                Piece piece = report.pieces().get(fold.start() + i);
                PieceClass of = report.classOf(piece);
                table.row(
                        pieceNumbers(fold, i),
                        of.id(),
                        kind(of),
                        Words.of(of.dimension()),
                        of.ops().size(),
                        of.entries().getLast().kernels().size(),
                        Words.bytes(piece.weightBytes()),
                        Words.count(piece.flopsPerRow()),
                        fold.times() == 1 ? "" : i == 0 ? "repeated " + fold.times() + " times" : "\"");
            }
        }
        text.append(table.text(INDENT));
    }

    private String pieceNumbers(Fold fold, int i) {
        int first = report.pieces().get(fold.start() + i).index();
        return fold.times() == 1
                ? String.valueOf(first)
                : first + ", " + (first + fold.period()) + (fold.times() == 2 ? ""
                        : (fold.times() == 3 ? ", " : " .. ") + (first + (fold.times() - 1) * fold.period()));
    }

    private static String kind(PieceClass of) {
        return of.kind().name().toLowerCase(Locale.ROOT).replace('_', ' ') + (of.frozen() == 0 ? "" : ", static");
    }

    private void pieceClass(PieceClass of) {
        title("class " + of.id() + ", shared by " + Words.plural(of.pieces().size(), "piece") + ": "
                + Words.ops(of.ops()));
        Map<List<String>, List<Entry>> byKernels = new LinkedHashMap<>();
        of.entries().forEach(entry -> byKernels
                .computeIfAbsent(of.kernelsOfAnySize(entry), kernels -> new ArrayList<>())
                .add(entry));
        byKernels.forEach((kernels, entries) -> {
            entries.forEach(entry -> text.append(INDENT)
                    .append(Words.sizes(of, entry))
                    .append(", arena ")
                    .append(Words.bytes(entry.arenaBytes()))
                    .append(System.lineSeparator()));
            kernels(entries.size() == 1 ? entries.getFirst().kernels() : kernels);
        });
    }

    /** A line each; long lists that repeat, as those of whole models do, are folded. */
    private void kernels(List<String> kernels) {
        for (Fold fold : Fold.of(kernels)) {
            boolean folded = fold.times() > 1 && fold.times() * fold.period() >= LEAST_FOLD;
            int shown = fold.period() * (folded ? 1 : fold.times());
            if (folded) {
                text.append(INDENT.repeat(2)).append(fold.times()).append(" times:").append(System.lineSeparator());
            }
            for (String kernel : kernels.subList(fold.start(), fold.start() + shown)) {
                text.append(INDENT.repeat(folded ? 3 : 2)).append(kernel).append(System.lineSeparator());
            }
        }
    }

    private void recordings() {
        CompilationState.Graphs graphs = state.graphs();
        title("graph mode " + graphs.mode() + (graphs.captureSizes().isEmpty()
                ? ""
                : ", captured sizes " + Words.list(graphs.captureSizes())));
        if (graphs.recorded().isEmpty()) {
            text.append(INDENT).append("no recordings").append(System.lineSeparator());
            return;
        }
        Table table = new Table("recorded", "tokens", "recordings", "kernels", "calls", "arena");
        for (RuntimeMode mode : List.of(RuntimeMode.PIECEWISE, RuntimeMode.FULL)) {
            Map<Integer, List<Recorded>> bySize = graphs.recorded().stream()
                    .filter(each -> each.mode() == mode)
                    .collect(Collectors.groupingBy(each -> each.batch().tokens(), TreeMap::new, Collectors.toList()));
            Map<Recordings, List<Integer>> alike = new LinkedHashMap<>();
            bySize.forEach((size, recorded) ->
                    alike.computeIfAbsent(Recordings.of(recorded), same -> new ArrayList<>()).add(size));
            alike.forEach((same, sizes) -> table.row(
                    mode == RuntimeMode.FULL ? "FULL, the whole step" : "PIECEWISE, each piece",
                    Words.list(sizes),
                    sizes.size() * same.count,
                    same.kernels,
                    Words.bytes(same.bytes),
                    Words.bytes(same.arenaBytes)));
        }
        text.append(table.text(INDENT));
    }

    /** What the recordings of one size have together: kernel calls and their bytes, and the arena, which they share. */
    private record Recordings(int count, int kernels, long bytes, long arenaBytes) {
        static Recordings of(List<Recorded> recorded) {
            return new Recordings(
                    recorded.size(),
                    recorded.stream().mapToInt(Recorded::kernels).sum(),
                    recorded.stream().mapToLong(Recorded::bytes).sum(),
                    recorded.stream().mapToLong(Recorded::arenaBytes).max().orElse(0));
        }
    }

    private void dispatch(String batches, boolean uniform) {
        title("dispatch of " + batches);
        Table table = new Table("tokens", "mode", "runs", "executables", "why");
        for (DispatchRun run : DispatchRun.of(report, uniform)) {
            table.row(
                    run.first() == run.last() ? run.first() : run.first() + ".." + run.last(),
                    run.answer().mode(),
                    run.replayed() ? run.answer().paddedTokens() : "as it is",
                    run.entry().map(Words::sizes).orElse("all sizes"),
                    run.answer().reason());
        }
        text.append(table.text(INDENT));
    }

    private void history() {
        title("start-up");
        CompilationCounters counters = state.counters();
        Table table = new Table("phase", "ms");
        for (CompilationPhase phase : CompilationPhase.values()) {
            Duration time = state.timings().get(phase);
            if (!time.isZero()) {
                table.row(
                        phase.name().toLowerCase(Locale.ROOT).replace('_', '-'),
                        String.format(Locale.ROOT, "%.1f", time.toNanos() / 1e6));
            }
        }
        text.append(table.text(INDENT));
        text.append(INDENT)
                .append(String.format(
                        Locale.ROOT,
                        "graphs %d, pieces %d, capturable %d, compilations %d, loaded %d, saved %d, captures %d, "
                                + "replays %d%n",
                        counters.graphsSeen(),
                        counters.piecesSeen(),
                        counters.capturablePiecesSeen(),
                        counters.compilations(),
                        counters.artifactsLoaded(),
                        counters.artifactsSaved(),
                        counters.captures(),
                        counters.replays()));
        state.events().forEach(event -> text.append(INDENT).append(event).append(System.lineSeparator()));
    }

    private void title(String title) {
        text.append(System.lineSeparator()).append(title).append(System.lineSeparator());
    }

    private void line(String name, String value) {
        text.append(String.format(Locale.ROOT, "%-10s%s%n", name, Failures.onOneLine(value)));
    }

    /** What became of each look-up in the artifact store, one a line. */
    static String cache(CompilationState state) {
        return state.artifacts().isEmpty()
                ? "the artifact store is off or cannot be used"
                : String.join(System.lineSeparator(), state.artifacts());
    }
}
