package dev.intarsia.engine;

import dev.intarsia.inspect.ModelReport.Steps;
import dev.intarsia.jfr.RecordEvent;
import dev.intarsia.jfr.ReplayEvent;
import dev.intarsia.jfr.StepEvent;
import dev.intarsia.piecewise.AttentionSupport;
import dev.intarsia.piecewise.BatchDescriptor;
import dev.intarsia.piecewise.CaptureLock;
import dev.intarsia.piecewise.CaptureSizes;
import dev.intarsia.piecewise.Captures;
import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.Dispatcher;
import dev.intarsia.piecewise.GraphConfig;
import dev.intarsia.piecewise.GraphKeys;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.piecewise.GraphModeResolver;
import dev.intarsia.piecewise.GraphWrapper;
import dev.intarsia.piecewise.PaddingTable;
import dev.intarsia.piecewise.Recordable;
import dev.intarsia.piecewise.Recording;
import dev.intarsia.piecewise.RuntimeMode;
import dev.intarsia.piecewise.WarmUp;
import dev.intarsia.runtime.Executable;
import dev.intarsia.runtime.RecordingInfo;
import dev.intarsia.runtime.Step;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs steps: asks the dispatcher how, pads, and walks the pieces, replays them, or replays the whole step. At construction it warms up and
 * makes every recording. Used by the engine's thread.
 */
final class StepRunner implements AutoCloseable {
    /** The attention kernels read how many sequences there are at replay: any batch can be recorded. */
    private static final AttentionSupport ATTENTION_SUPPORT = AttentionSupport.ALWAYS;

    private static final String ATTENTION = "attention";

    private final CompiledModel model;
    private final Step step;
    private final CompilationConfig config;
    private final CompilationTracker tracker;
    private final GraphKeys keys;
    private final Dispatcher dispatcher;
    private final GraphWrapper whole;
    private final GraphWrapper[] pieces; // of each stage over tokens, null where it cannot be recorded by itself
    private final List<CompilationState.Recorded> recorded = new ArrayList<>();
    private final Map<BatchDescriptor, dev.intarsia.runtime.Recording> wholeSteps = new HashMap<>();
    private final StepCounts counts;
    private final boolean enqueues; // the device does steps ahead of their tokens
    private int sequences; // of the step that runs
    private boolean enqueueing; // it is not waited for

    StepRunner(
            CompiledModel model,
            Step step,
            CompilationConfig config,
            GraphConfig graphs,
            boolean enqueues,
            CompilationTracker tracker) {
        this.model = model;
        this.enqueues = enqueues;
        this.step = step;
        this.config = config;
        this.tracker = tracker;
        CaptureSizes sizes = CaptureSizes.derive(graphs);
        GraphModeResolver.Resolved resolved = GraphModeResolver.resolve(
                graphs.mode(),
                ATTENTION_SUPPORT,
                config.splittingOps().contains(ATTENTION),
                graphs.queryLength(),
                sizes);
        tracker.events(sizes.events());
        tracker.events(resolved.events());
        Flights.downgrades(config.events(), sizes.events(), resolved.events());
        if (resolved.mode() != GraphMode.NONE) {
            new PaddingTable(resolved.sizes()).checkCompileSizes(config.compileSizes());
        }
        keys = new GraphKeys(resolved.mode(), resolved.sizes(), graphs.maxNumSeqs(), graphs.queryLength());
        dispatcher = new Dispatcher(keys, graphs.maxNumBatchedTokens());
        counts = new StepCounts(step.maxTokens());
        CaptureLock lock = new CaptureLock();
        whole = new GraphWrapper(RuntimeMode.FULL, new WholeStep(), lock, tracker);
        pieces = new GraphWrapper[model.tokenStages().size()];
        for (int i = 0; i < pieces.length; i++) {
            CompiledModel.Stage stage = model.tokenStages().get(i);
            pieces[i] = stage.compilable()
                    ? new GraphWrapper(RuntimeMode.PIECEWISE, new OnePiece(stage), lock, tracker)
                    : null;
        }
        try {
            WarmUp.run(
                    keys.mode() == GraphMode.NONE ? List.of(1) : WarmUp.sizes(config, keys.sizes()),
                    this::warmUp,
                    tracker);
            Captures.run(keys, this::capture, lock, dispatcher, tracker);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** A step of padding alone, in mode NONE. Sizes above the largest step serve no step and are left out. */
    private void warmUp(int tokens) {
        if (tokens <= step.maxTokens()) {
            padTokens(0, tokens);
            padRows(0, 1);
            step.queryStart(0, 0);
            walk(RuntimeMode.NONE, BatchDescriptor.of(tokens), 0, 1);
        }
    }

    private void capture(RuntimeMode mode, BatchDescriptor key) {
        padTokens(0, key.tokens());
        step.queryStart(0, 0);
        int count = mode == RuntimeMode.FULL ? key.requests() : 0;
        padRows(0, count);
        step.begin(key.tokens(), 0, count);
        if (mode == RuntimeMode.FULL) {
            whole.call(mode, key);
        } else {
            for (GraphWrapper piece : pieces) {
                if (piece != null) {
                    piece.call(mode, key);
                }
            }
        }
    }

    /**
     * Runs the step that the buffers describe, and samples its rows.
     *
     * @param tokens without padding
     * @param sequences that the tokens belong to
     * @param rows whose logits are wanted; their sampling parameters are set
     * @param uniform whether every sequence has one token
     * @return how it was run
     */
    Dispatch run(int tokens, int sequences, int rows, boolean uniform) {
        Dispatch how = dispatcher.dispatch(tokens, uniform);
        StepEvent flight = Flights.step();
        padTokens(tokens, how.paddedTokens());
        if (how.mode() == RuntimeMode.FULL) {
            padRows(rows, how.batch().requests());
            this.sequences = sequences;
            whole.call(RuntimeMode.FULL, how.batch());
        } else {
            walk(how.mode(), how.batch(), sequences, rows);
        }
        counts.count(tokens, uniform);
        if (flight != null) {
            Flights.commit(flight, how, sequences, rows);
        }
        return how;
    }

    /** Whether a step of so many sequences, one token each and all of them plain, can be enqueued: its tokens are collected later. */
    boolean enqueues(int sequences) {
        return enqueues && dispatcher.dispatch(sequences, true).mode() == RuntimeMode.FULL;
    }

    /** Enqueues the step that the buffers describe. */
    Dispatch enqueue(int sequences) {
        enqueueing = true;
        try {
            return run(sequences, sequences, sequences, true);
        } finally {
            enqueueing = false;
        }
    }

    private void walk(RuntimeMode mode, BatchDescriptor batch, int sequences, int rows) {
        step.begin(batch.tokens(), sequences, rows);
        List<CompiledModel.Stage> tokenStages = model.tokenStages();
        for (int i = 0; i < pieces.length; i++) {
            if (pieces[i] != null) {
                pieces[i].call(mode, batch);
            } else {
                CompiledModel.Stage stage = tokenStages.get(i);
                step.execute(stage.executable(), stage.piece());
            }
        }
        if (rows > 0) {
            List<CompiledModel.Stage> rowStages = model.rowStages();
            for (int i = 0; i < rowStages.size(); i++) {
                step.execute(rowStages.get(i).forSize(rows), rowStages.get(i).piece());
            }
            step.sample();
        }
    }

    /** Tokens that belong to no sequence and leave no trace. */
    private void padTokens(int from, int to) {
        for (int i = from; i < to; i++) {
            step.token(i, 0, 0, -1);
        }
    }

    /** Rows that nobody asks for. */
    private void padRows(int from, int to) {
        for (int row = from; row < to; row++) {
            step.row(row, 0);
            step.sampling(row, 0f, 1f, 0, 0L, 0L);
        }
    }

    /** What was compiled and recorded, as it stands now. */
    CompilationState state() {
        return CompilationState.of(config, model.backends(), tracker, keys, dispatcher, recorded);
    }

    /**
     * Replays the step that the buffers describe with a clock around every kernel.
     *
     * @param tokens that a whole step was recorded for, uniform
     * @return nanoseconds of the slowest thread in each kernel call, sampling being the last
     * @throws IllegalArgumentException if no whole step of so many tokens was recorded
     */
    long[] profile(int tokens, int sequences) {
        BatchDescriptor batch = dispatcher.dispatch(tokens, true).batch();
        dev.intarsia.runtime.Recording recording = wholeSteps.get(batch);
        if (recording == null || batch.tokens() != tokens) {
            throw new IllegalArgumentException("no whole step of " + tokens + " tokens was recorded");
        }
        step.begin(tokens, sequences, batch.requests());
        return step.profile(recording);
    }

    /**
     * The kernels of a whole step of so many tokens and rows without its sampling, for measurements: on a CUDA device a replay of it does not
     * wait. The step that the buffers describe is begun. The caller closes it.
     */
    dev.intarsia.runtime.Recording kernels(int tokens, int sequences, int rows) {
        step.begin(tokens, sequences, rows);
        return record(tokens, rows, false);
    }

    private dev.intarsia.runtime.Recording record(int tokens, int rows, boolean sample) {
        List<Executable> executables = new ArrayList<>();
        List<Integer> indices = new ArrayList<>();
        for (CompiledModel.Stage stage : model.tokenStages()) {
            executables.add(stage.forSize(tokens));
            indices.add(stage.piece());
        }
        for (CompiledModel.Stage stage : model.rowStages()) {
            executables.add(stage.forSize(rows));
            indices.add(stage.piece());
        }
        return step.record(executables, indices.stream().mapToInt(Integer::intValue).toArray(), sample);
    }

    /** The steps that ran so far. */
    List<Steps> steps() {
        return counts.steps(dispatcher);
    }

    long compilations() {
        return tracker.counters().compilations();
    }

    @Override
    public void close() {
        List<AutoCloseable> wrappers = new ArrayList<>();
        wrappers.add(whole);
        for (GraphWrapper piece : pieces) {
            if (piece != null) {
                wrappers.add(piece);
            }
        }
        CompiledModel.closeAll(wrappers);
    }

    private void note(RecordEvent flight, RuntimeMode mode, int piece, BatchDescriptor batch, RecordingInfo info) {
        CompilationState.Recorded made =
                new CompilationState.Recorded(mode, piece, batch, info.kernels(), info.bytes(), info.arenaBytes());
        recorded.add(made);
        if (flight != null) {
            Flights.commit(flight, made);
        }
    }

    /** One compilable piece: recorded at one number of tokens, replayed within a step that was begun. */
    private final class OnePiece implements Recordable {
        private final CompiledModel.Stage stage;

        OnePiece(CompiledModel.Stage stage) {
            this.stage = stage;
        }

        @Override
        public void run(BatchDescriptor batch) {
            step.execute(stage.forSize(batch.tokens()), stage.piece());
        }

        @Override
        public Recording record(BatchDescriptor batch) {
            RecordEvent flight = Flights.record();
            dev.intarsia.runtime.Recording recording =
                    step.record(List.of(stage.forSize(batch.tokens())), new int[] {stage.piece()}, false);
            note(flight, RuntimeMode.PIECEWISE, stage.piece(), batch, recording.info());
            return new Recording() {
                @Override
                public void replay() {
                    ReplayEvent replay = Flights.replay();
                    step.replay(recording);
                    if (replay != null) {
                        Flights.commit(replay, RuntimeMode.PIECEWISE, stage.piece(), batch);
                    }
                }

                @Override
                public void close() {
                    recording.close();
                }
            };
        }

        @Override
        public long[] inputAddresses() {
            return step.addresses();
        }
    }

    /** The whole step, logits and sampling included: one downcall a replay. */
    private final class WholeStep implements Recordable {
        @Override
        public void run(BatchDescriptor batch) {
            throw new IllegalStateException("a whole step is only recorded and replayed, but was called for " + batch);
        }

        @Override
        public Recording record(BatchDescriptor batch) {
            RecordEvent flight = Flights.record();
            dev.intarsia.runtime.Recording recording =
                    StepRunner.this.record(batch.tokens(), batch.requests(), true);
            wholeSteps.put(batch, recording);
            note(flight, RuntimeMode.FULL, CompilationState.Recorded.WHOLE_STEP, batch, recording.info());
            return new Recording() {
                @Override
                public void replay() {
                    ReplayEvent replay = Flights.replay();
                    if (enqueueing) {
                        step.enqueueStep(recording, sequences);
                    } else {
                        step.replayStep(recording, sequences);
                    }
                    if (replay != null) {
                        Flights.commit(replay, RuntimeMode.FULL, CompilationState.Recorded.WHOLE_STEP, batch);
                    }
                }

                @Override
                public void close() {
                    recording.close();
                }
            };
        }

        @Override
        public long[] inputAddresses() {
            return step.addresses();
        }
    }
}
