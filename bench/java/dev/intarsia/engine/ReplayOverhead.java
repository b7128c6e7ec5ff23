package dev.intarsia.engine;

import dev.intarsia.EngineOptions;
import dev.intarsia.SamplingParams;
import dev.intarsia.checkpoint.RandomWeights;
import dev.intarsia.piecewise.GraphMode;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;

/**
 * What a decode step costs beyond its kernels: replayed as a whole, replayed piece by piece, and called piece by piece, in one run and in turns. The
 * kernels' time is the sum, over the calls of a replay, of the slowest thread's. Arguments: config file, threads, rounds.
 */
public final class ReplayOverhead {
    private static final int CONTEXT = 64;
    private static final int TURN = 200; // steps
    private static final int WARM_UP = 20; // steps at the beginning of a turn that do not count

    private ReplayOverhead() {}

    public static void main(String[] args) {
        Path config = DecodeStep.inCheckout(args[0]);
        int threads = Integer.parseInt(args[1]);
        int rounds = Integer.parseInt(args[2]);
        Map<GraphMode, LoadedModel> models = new EnumMap<>(GraphMode.class);
        for (GraphMode mode : new GraphMode[] {GraphMode.FULL, GraphMode.PIECEWISE, GraphMode.NONE}) {
            models.put(mode, open(config, threads, mode));
        }
        Map<GraphMode, long[]> taken = new EnumMap<>(GraphMode.class);
        models.keySet().forEach(mode -> taken.put(mode, new long[rounds]));
        long[] kernels = new long[rounds];
        // In turns of many steps: as in decoding, the threads of the one that runs are awake and those of the others asleep.
        for (int turn = 0; turn < rounds; turn += TURN) {
            int first = turn;
            int last = Math.min(turn + TURN, rounds);
            models.forEach((mode, model) -> run(model.runner(), taken.get(mode), first, last));
            StepRunner whole = models.get(GraphMode.FULL).runner();
            for (int round = -WARM_UP; round < last - first; round++) {
                long sum = Arrays.stream(whole.profile(1, 1)).sum();
                if (round >= 0) {
                    kernels[first + round] = sum;
                }
            }
        }
        System.out.printf("%d threads, %d rounds, medians: sum of kernels %.1f us%n", threads, rounds, median(kernels) / 1e3);
        taken.forEach((mode, times) -> System.out.printf(
                "%-9s %8.1f us, %6.1f us beyond its kernels%n",
                mode == GraphMode.NONE ? "called" : mode, median(times) / 1e3, (median(times) - median(kernels)) / 1e3));
        models.values().forEach(LoadedModel::close);
    }

    private static void run(StepRunner runner, long[] taken, int first, int last) {
        for (int round = first - WARM_UP; round < last; round++) {
            long start = System.nanoTime();
            runner.run(1, 1, 1, true);
            if (round >= first) {
                taken[round] = System.nanoTime() - start;
            }
        }
    }

    /** A model whose buffers describe the decoding of one token after some context. */
    static LoadedModel open(Path config, int threads, GraphMode mode) {
        EngineOptions options = EngineOptions.builder()
                .threads(threads)
                .maxNumSeqs(1)
                .maxModelLen(2 * CONTEXT)
                .graphMode(mode)
                .build();
        try (RandomWeights weights = RandomWeights.of(config, 1)) {
            LoadedModel model = LoadedModel.open(weights, options);
            SamplingParams params = SamplingParams.greedy(4).toBuilder().ignoreEos(true).build();
            StepLoop loop = model.loop(new Meters(), ended -> {});
            loop.add(new Request(
                    new Request.Asked(new int[CONTEXT], params, 0, Request.NEVER, new long[2], false, false), 0, 0));
            while (loop.step()) {}
            return model;
        }
    }

    static double median(long[] values) {
        long[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }
}
