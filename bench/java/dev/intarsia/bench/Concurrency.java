package dev.intarsia.bench;

import dev.intarsia.Completion;
import dev.intarsia.Engine;
import dev.intarsia.EngineInfo;
import dev.intarsia.EngineOptions;
import dev.intarsia.GenerationRequest;
import dev.intarsia.SamplingParams;
import dev.intarsia.TokenStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CompletableFuture;

/**
 * What many requests at once gain, and what one does to another: tokens a second of 8 decodes and of one, in turns;
 * and the worst time between two tokens of a decode while a prompt of 2,000 tokens comes in, beside the time of one
 * full step. Random weights. Arguments: config file, threads, maxNumBatchedTokens, rounds.
 */
public final class Concurrency {
    private static final int MANY = 8;
    private static final int PROMPT = 32;
    private static final int LONG_PROMPT = 2000;

    private Concurrency() {}

    public static void main(String[] args) {
        Path config = Path.of(args[0]);
        int tokensOfStep = Integer.parseInt(args[2]);
        int rounds = Integer.parseInt(args[3]);
        EngineOptions options = EngineOptions.builder()
                .threads(Integer.parseInt(args[1]))
                .maxNumSeqs(MANY)
                .maxModelLen(LONG_PROMPT + 100)
                .maxNumBatchedTokens(tokensOfStep)
                .enablePrefixCaching(false)
                .build();
        try (Engine engine = Engine.openRandom(config, 1, options)) {
            EngineInfo info = engine.info();
            System.out.println(info.device() + ", " + info.cpuTier() + ", " + info.threads() + " threads");
            throughput(engine, rounds);
            interference(engine, tokensOfStep);
        }
    }

    private static void throughput(Engine engine, int rounds) {
        rate(engine, 1, 4);
        List<Double> one = new ArrayList<>();
        List<Double> many = new ArrayList<>();
        for (int round = 0; round < rounds; round++) {
            one.add(rate(engine, 1, 16));
            many.add(rate(engine, MANY, 16));
        }
        System.out.printf(
                Locale.ROOT,
                "decode: 1 at once %.2f tokens/s, %d at once %.2f tokens/s, %.2f times (medians of %d)%n",
                median(one), MANY, median(many), median(many) / median(one), rounds);
    }

    /** Tokens a second of so many sequences, from the first token to the last. */
    private static double rate(Engine engine, int sequences, int tokens) {
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < sequences; i++) {
            requests.add(request(PROMPT, tokens, i));
        }
        double longest = 0;
        for (Completion completion : engine.generateAll(requests)) {
            longest = Math.max(longest, completion.timings().decode().toNanos() * 1e-9);
        }
        return sequences * (tokens - 1) / longest;
    }

    private static void interference(Engine engine, int tokensOfStep) {
        double full = engine.generate(request(tokensOfStep, 1, 7)).timings().firstToken().toNanos() * 1e-9;
        List<Double> gaps = new ArrayList<>();
        CompletableFuture<Completion> prefill = null;
        try (TokenStream stream = engine.stream(request(PROMPT, 60, 8))) {
            stream.next();
            long last = System.nanoTime();
            for (int i = 0; prefill == null || !prefill.isDone(); i++) {
                if (i == 8) {
                    prefill = engine.submit(request(LONG_PROMPT, 1, 9));
                }
                stream.next();
                long now = System.nanoTime();
                gaps.add((now - last) * 1e-9);
                last = now;
            }
        }
        System.out.printf(
                Locale.ROOT,
                "a prompt of %d tokens beside a decode, %d tokens a step: worst time between tokens %.3f s,"
                        + " median before it %.3f s; one full step %.3f s: %.2f times%n",
                LONG_PROMPT,
                tokensOfStep,
                Collections.max(gaps),
                median(gaps.subList(0, 8)),
                full,
                Collections.max(gaps) / full);
    }

    private static GenerationRequest request(int prompt, int tokens, long seed) {
        Random random = new Random(seed);
        Integer[] ids = new Integer[prompt];
        Arrays.setAll(ids, i -> 1 + random.nextInt(1000));
        return GenerationRequest.of(
                List.of(ids), SamplingParams.greedy(tokens).toBuilder().ignoreEos(true).build());
    }

    private static double median(List<Double> values) {
        List<Double> sorted = values.stream().sorted().toList();
        return sorted.get(sorted.size() / 2);
    }
}
