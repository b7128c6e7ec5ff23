package dev.intarsia.cli.bench;

import dev.intarsia.IntarsiaException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/** Puts a load on a server: each request on a virtual thread of its own, at its time, whether those before it have ended or not. */
public final class LoadRun {

    /** One request, in nanoseconds from the start. */
    private record Outcome(Load.Arrival arrival, long[] tokens, int count, long end, Exception failure) {}

    private final Server server;
    private final Progress progress;
    private final int requests;
    private final AtomicInteger done = new AtomicInteger();
    private final AtomicInteger failed = new AtomicInteger();

    private LoadRun(Server server, Progress progress, int requests) {
        this.server = server;
        this.progress = progress;
        this.requests = requests;
    }

    /** Runs a load to its end; requests that fail are counted. */
    public static LoadReport run(Server server, Load load, Progress progress) {
        return new LoadRun(server, progress, load.requests().size()).run(load);
    }

    private LoadReport run(Load load) {
        int vocabulary = server.vocabulary();
        List<List<Integer>> prompts =
                load.requests().stream().map(request -> request.prompt(vocabulary)).toList();
        List<Outcome> outcomes = new ArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            long start = System.nanoTime();
            List<Future<Outcome>> running = new ArrayList<>();
            for (int i = 0; i < requests; i++) {
                Load.Arrival arrival = load.requests().get(i);
                List<Integer> prompt = prompts.get(i);
                running.add(threads.submit(() -> complete(arrival, prompt, start)));
            }
            try {
                for (Future<Outcome> each : running) {
                    outcomes.add(each.get());
                }
            } finally {
                threads.shutdownNow(); // those that still wait when one of them, or this thread, was interrupted
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IntarsiaException("interrupted while measuring", e);
        } catch (ExecutionException e) {
            throw new IntarsiaException("a request ended the measurement: " + e.getCause(), e);
        }
        return report(outcomes);
    }

    private Outcome complete(Load.Arrival arrival, List<Integer> prompt, long start) throws InterruptedException {
        long wait = start + Math.round(arrival.at() * 1e9) - System.nanoTime();
        if (wait > 0) {
            TimeUnit.NANOSECONDS.sleep(wait);
        }
        Times times = new Times(start, arrival.lengths().output());
        Exception failure = null;
        int count = 0;
        try {
            count = server.complete(prompt, arrival.lengths().output(), times);
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            failure = e;
            failed.incrementAndGet();
        }
        long end = System.nanoTime() - start;
        progress.phase(done.incrementAndGet() + " of " + requests + " requests done, " + failed + " of them failed");
        return new Outcome(arrival, times.values(), count, end, failure);
    }

    private LoadReport report(List<Outcome> outcomes) {
        List<Outcome> finished =
                outcomes.stream().filter(each -> each.failure == null).toList();
        long end = outcomes.stream().mapToLong(Outcome::end).max().orElseThrow();
        return new LoadReport(
                server.name(),
                finished.size(),
                outcomes.size() - finished.size(),
                outcomes.stream()
                        .filter(each -> each.failure != null)
                        .findFirst()
                        .map(each -> String.valueOf(each.failure.getMessage())),
                end * 1e-9,
                finished.stream().mapToLong(each -> each.arrival.lengths().prompt()).sum(),
                finished.stream().mapToLong(Outcome::count).sum(),
                samples(finished.stream().mapToDouble(each -> each.tokens[0] * 1e-9 - each.arrival.at())),
                samples(finished.stream().flatMapToDouble(LoadRun::gaps)),
                samples(finished.stream().mapToDouble(each -> each.end * 1e-9 - each.arrival.at())));
    }

    private static DoubleStream gaps(Outcome outcome) {
        return IntStream.range(1, outcome.tokens.length)
                .mapToDouble(i -> (outcome.tokens[i] - outcome.tokens[i - 1]) * 1e-9);
    }

    private static Samples samples(DoubleStream seconds) {
        return Samples.of(seconds.toArray());
    }

    /** When the tokens of a request came. */
    private static final class Times implements Server.Listener {
        private final long start;
        private long[] at;
        private int count;

        Times(long start, int expected) {
            this.start = start;
            this.at = new long[expected];
        }

        @Override
        public void token() {
            if (count == at.length) {
                at = Arrays.copyOf(at, 2 * count);
            }
            at[count++] = System.nanoTime() - start;
        }

        long[] values() {
            return Arrays.copyOf(at, count);
        }
    }
}
