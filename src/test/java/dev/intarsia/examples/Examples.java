package dev.intarsia.examples;

import dev.intarsia.Completion;
import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.EngineStats;
import dev.intarsia.FinishReason;
import dev.intarsia.GenerationRequest;
import dev.intarsia.QueueFullException;
import dev.intarsia.SamplingParams;
import dev.intarsia.SchedulingPolicy;
import dev.intarsia.Token;
import dev.intarsia.TokenLogprobs;
import dev.intarsia.TokenStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.stream.Stream;

/** The worked examples of the API's documentation, as they stand there. */
final class Examples {
    private Examples() {}

    static void open(Path model, PrintStream out) {
        // @start region="open"
        EngineOptions options = EngineOptions.builder()
                .maxModelLen(1024) // longest prompt and answer together
                .maxNumSeqs(32) // sequences that share a step
                .maxNumBatchedTokens(512) // tokens of a step: smaller steps let others in sooner, larger ones read prompts faster
                .maxQueued(200) // requests that may wait
                .build();
        try (Engine engine = Engine.open(model, options)) {
            Completion completion = engine.generate("It was a dark and stormy night;", SamplingParams.greedy(24));
            out.println(completion.text());
        }
        // @end
    }

    static void sample(Engine engine, PrintStream out) {
        // @start region="sample"
        SamplingParams params = SamplingParams.builder()
                .temperature(0.8)
                .topP(0.95)
                .repetitionPenalty(1.1)
                .seed(7) // the same tokens each time, whatever else runs
                .stop(List.of("\n\n", "THE END"))
                .maxTokens(60)
                .build();
        Completion completion = engine.generate("Sherlock Holmes lit his pipe and", params);
        out.println(completion.text());
        if (completion.finishReason() == FinishReason.LENGTH) {
            out.println("… it would have gone on");
        }
        // @end
    }

    static void stream(Engine engine, PrintStream out) {
        // @start region="stream"
        try (TokenStream stream = engine.stream("My dear Watson,", SamplingParams.greedy(40))) {
            int shown = 0;
            while (stream.hasNext() && shown < 100) { // leaving early cancels the rest: close() sees to it
                String text = stream.next().text();
                out.print(text);
                shown += text.length();
            }
        }
        // @end
    }

    static List<String> many(Engine engine) {
        // @start region="many"
        SamplingParams params = SamplingParams.greedy(16);
        List<GenerationRequest> requests = Stream.of("The door", "The window", "The lamp")
                .map(prompt -> GenerationRequest.of(prompt, params))
                .toList();
        List<String> answers = engine.generateAll(requests).stream().map(Completion::text).toList(); // in their order
        // @end
        return answers;
    }

    static CompletableFuture<String> submit(Engine engine) {
        // @start region="submit"
        CompletableFuture<Completion> answer = engine.submit(GenerationRequest.builder("The fog lay")
                .params(SamplingParams.greedy(30))
                .deadline(Duration.ofSeconds(20)) // what is there by then is the answer
                .build());
        CompletableFuture<String> text = answer.thenApply(Completion::text); // on a virtual thread, never on the engine's
        // @end
        return text;
    }

    static void publish(Engine engine, PrintStream out) throws InterruptedException {
        // @start region="publish"
        CountDownLatch ended = new CountDownLatch(1);
        engine.publish(GenerationRequest.of("The hound", SamplingParams.greedy(20))).subscribe(new Flow.Subscriber<>() {
            private Flow.Subscription subscription;

            @Override
            public void onSubscribe(Flow.Subscription given) {
                subscription = given;
                subscription.request(1);
            }

            @Override
            public void onNext(Token token) {
                out.print(token.text());
                subscription.request(1); // one at a time: the next comes when this one is written
            }

            @Override
            public void onError(Throwable failure) {
                failure.printStackTrace(out);
                ended.countDown();
            }

            @Override
            public void onComplete() {
                ended.countDown();
            }
        });
        ended.await();
        // @end
    }

    static void alternatives(Engine engine, PrintStream out) {
        // @start region="alternatives"
        SamplingParams params = SamplingParams.builder().temperature(1).n(3).logprobs(0).maxTokens(12).build();
        Completion completion = engine.generate("The answer was", params);
        for (Completion.Output output : completion.outputs()) {
            double logprob = output.logprobs().stream().mapToDouble(TokenLogprobs::logprob).sum();
            out.printf("%7.2f %s%n", logprob, output.text());
        }
        // @end
    }

    static void tenants(Path model, PrintStream out) {
        // @start region="tenants"
        EngineOptions options = EngineOptions.builder()
                .schedulingPolicy(SchedulingPolicy.PRIORITY)
                .longPrefillTokenThreshold(256) // no prompt takes more of a step than this
                .build();
        try (Engine engine = Engine.open(model, options)) {
            GenerationRequest request = GenerationRequest.builder("The instructions, which are long and the same each time: begin!")
                    .params(SamplingParams.greedy(8))
                    .priority(-1) // before the others, which have 0
                    .cacheSalt("tenant 17") // its prompts share cached beginnings with each other, and with nobody else's
                    .build();
            engine.generate(request);
            out.println(engine.generate(request).cachedTokens() + " tokens of the prompt were not computed again");
        }
        // @end
    }

    static String overload(Engine engine, GenerationRequest request) {
        // @start region="overload"
        try {
            return engine.generate(request).text();
        } catch (QueueFullException e) {
            return "busy, please try again"; // nothing was started: a service answers 429
        }
        // @end
    }

    static void stats(Engine engine, PrintStream out) {
        // @start region="stats"
        EngineStats stats = engine.stats();
        out.printf(
                "%d run, %d wait, %.0f %% of the KV cache in use, %.0f %% of the prompts found in it%n",
                stats.running(), stats.waiting(), 100 * stats.kvUse(), 100 * stats.prefixHitRate());
        out.printf(
                "first token after %.3f s (p95), then one every %.3f s (p50)%n",
                stats.firstTokenSeconds().quantile(0.95), stats.interTokenSeconds().quantile(0.5));
        // @end
    }

    static boolean shutdown(Engine engine) {
        // @start region="shutdown"
        boolean all = engine.shutdown(Duration.ofSeconds(30)); // takes nothing more, lets finish what it has, then closes
        // @end
        return all;
    }
}
