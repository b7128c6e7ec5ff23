package dev.intarsia.engine;

import dev.intarsia.EngineOptions;
import dev.intarsia.SamplingParams;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.runtime.Recording;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What a decode step of one sequence on a CUDA device costs beyond its kernels: the time from token to token in Java, less what the device takes for
 * one of many replays that are enqueued behind one another, and for choosing the token. Arguments: checkpoint directory, device, tokens of context,
 * steps.
 */
public final class DeviceOverhead {
    private static final int WARM_UP = 50;

    private DeviceOverhead() {}

    public static void main(String[] args) {
        int context = Integer.parseInt(args[2]);
        int steps = Integer.parseInt(args[3]);
        EngineOptions options = EngineOptions.builder()
                .device(args[1])
                .maxNumSeqs(1)
                .maxModelLen(context + steps + WARM_UP + 16)
                .build();
        try (Checkpoint checkpoint = Checkpoint.open(Path.of(args[0]));
                LoadedModel model = LoadedModel.open(checkpoint, options)) {
            SamplingParams params =
                    SamplingParams.greedy(steps + WARM_UP + 1).toBuilder().ignoreEos(true).build();
            StepLoop loop = model.loop(new Meters(), ended -> {});
            loop.add(new Request(
                    new Request.Asked(new int[context], params, 0, Request.NEVER, new long[2], false, false), 0, 0));
            long[] whole = new long[steps];
            long start = System.nanoTime();
            for (int i = -WARM_UP - 1; loop.step(); i++) {
                long now = System.nanoTime();
                if (i >= 0 && i < steps) {
                    whole[i] = now - start;
                }
                start = now;
            }
            // one more whose steps are waited for: then the buffers hold tokens, and none that stands for the one before it
            SamplingParams known = params.toBuilder().maxTokens(3).logprobs(0).build();
            loop.add(new Request(
                    new Request.Asked(new int[context], known, 0, Request.NEVER, new long[2], false, false), 1, 0));
            while (loop.step()) {}
            StepRunner runner = model.runner();
            double kernels;
            try (Recording recording = runner.kernels(1, 1, 1)) {
                enqueued(model, recording, WARM_UP);
                kernels = (double) (enqueued(model, recording, 2 * steps) - enqueued(model, recording, steps)) / steps;
            }
            long[] profile = runner.profile(1, 1);
            double sampling = profile[profile.length - 1];
            double step = median(whole);
            System.out.printf(
                    "{\"context\":%d,\"step_us\":%.2f,\"kernels_us\":%.2f,\"sampling_us\":%.2f,\"overhead_us\":%.2f}%n",
                    context, step / 1e3, kernels / 1e3, sampling / 1e3, (step - kernels - sampling) / 1e3);
        }
    }

    /** Nanoseconds of so many replays, one behind the other, until the last is done. */
    private static long enqueued(LoadedModel model, Recording recording, int replays) {
        float[] logits = new float[model.step().vocabulary()];
        long start = System.nanoTime();
        for (int i = 0; i < replays; i++) {
            model.step().replay(recording);
        }
        model.step().logits(0, logits);
        return System.nanoTime() - start;
    }

    private static double median(long[] values) {
        long[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }
}
