package dev.intarsia.cli.bench;

import dev.intarsia.Engine;
import dev.intarsia.EngineInfo;
import dev.intarsia.IntarsiaException;
import dev.intarsia.SamplingParams;
import dev.intarsia.TokenStream;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceInfo;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.KvCache;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Measures an engine by its public API, so that what is measured is what a service gets: how long it takes to open, how fast it reads a
 * prompt, how fast it decodes, and how that compares with the time that reading the weights takes on this machine, measured in turns with the rest.
 */
public final class EngineBench {
    /** Far beyond any cache; less where memory is short. */
    private static final long READ_BYTES = 512L << 20;

    private final Settings settings;
    private final Progress progress;

    /**
     * What to measure.
     *
     * @param promptTokens tokens of the prompt that is measured, 0 = none is
     * @param decodeTokens tokens that each stream decodes, 0 = decoding is not measured
     * @param batch        streams that decode at once
     * @param context      tokens of each stream in the cache when decoding starts, at least 1
     * @param repeat       how often everything is measured
     * @param seed         of the token ids
     */
    public record Settings(int promptTokens, int decodeTokens, int batch, int context, int repeat, long seed) {
        private static final int MOST = 1 << 20;

        /** @throws IllegalArgumentException naming the parameter, its value and its bound */
        public Settings {
            check("promptTokens", promptTokens, 0, MOST);
            check("decodeTokens", decodeTokens, 0, MOST);
            check("batch", batch, 1, 1 << 16);
            check("context", context, 1, MOST);
            check("repeat", repeat, 1, 10_000);
            if (promptTokens == 0 && decodeTokens == 0) {
                throw new IllegalArgumentException("promptTokens and decodeTokens are both 0; there is nothing to measure");
            }
        }

        private static void check(String name, int value, int least, int most) {
            if (value < least || value > most) {
                throw new IllegalArgumentException(name + " is " + value + "; it must be in " + least + ".." + most);
            }
        }

        /** Tokens of the longest sequence that this makes. */
        public int longestSequence() {
            return Math.max(promptTokens + 1, decodeTokens == 0 ? 0 : context + decodeTokens + 1);
        }
    }

    /**
     * What was measured.
     *
     * @param load       seconds until the engine was open
     * @param firstToken seconds from the beginning of that to the first token of a prompt of one token
     * @param prefill    tokens of the prompt per second of its steps, one value a repeat
     * @param decode     tokens of all streams per second while all of them decode, one value a repeat
     * @param read       bytes per second that the threads of the engine read from memory
     * @param stepBytes  bytes that a decode step must read at least: every weight once, and keys and values of all streams
     * @param peakRss    most resident bytes of this process until all had run once, before memory was read; where the system says
     */
    public record Result(
            EngineInfo engine,
            Settings settings,
            double load,
            double firstToken,
            Samples prefill,
            Samples decode,
            Samples read,
            long stepBytes,
            OptionalLong peakRss) {

        /** Bytes per second that decoding must have read. */
        public double decodeBytesPerSecond() {
            return decode.median() / settings.batch * stepBytes;
        }

        /** Tokens per second of all streams if a step took no longer than reading its bytes. */
        public double decodeFloor() {
            return read.median() / stepBytes * settings.batch;
        }

        /** How much of the bandwidth decoding used. */
        public double decodeShare() {
            return decodeBytesPerSecond() / read.median();
        }
    }

    private EngineBench(Settings settings, Progress progress) {
        this.settings = settings;
        this.progress = progress;
    }

    /**
     * Opens an engine, measures it and closes it.
     *
     * @param opened told of the engine, so that somebody else can close it to stop the measurement
     */
    public static Result measure(Supplier<Engine> open, Settings settings, Progress progress, Consumer<Engine> opened) {
        return new EngineBench(settings, progress).measure(open, opened);
    }

    private Result measure(Supplier<Engine> open, Consumer<Engine> opened) {
        progress.phase("opening the model");
        long start = System.nanoTime();
        try (Engine engine = open.get()) {
            double load = seconds(start, System.nanoTime());
            opened.accept(engine);
            SplittableRandom random = new SplittableRandom(settings.seed);
            EngineInfo info = engine.info();
            engine.generate(ids(random, 1, info), answer(1));
            double firstToken = seconds(start, System.nanoTime());

            progress.phase("warming up");
            engine.generate(ids(random, Math.clamp(settings.promptTokens, 1, 64), info), answer(4));
            List<List<Integer>> contexts = new ArrayList<>();
            for (int stream = 0; stream < settings.batch; stream++) {
                contexts.add(ids(random, settings.context, info));
            }
            List<Double> prefill = new ArrayList<>();
            List<Double> decode = new ArrayList<>();
            List<Double> read = new ArrayList<>();
            OptionalLong peakRss = OptionalLong.empty();
            try (Device reader = Device.open(DeviceOptions.cpu().withThreads(info.threads()).withTier(info.cpuTier()))) {
                long readBytes = readBytes();
                for (int repeat = 1; repeat <= settings.repeat; repeat++) {
                    String where = "repeat " + repeat + " of " + settings.repeat + ": ";
                    if (settings.promptTokens > 0) {
                        progress.phase(where + "prompt of " + settings.promptTokens + " tokens");
                        prefill.add(prefill(engine, ids(random, settings.promptTokens, info)));
                    }
                    if (settings.decodeTokens > 0) {
                        progress.phase(where + "decoding " + settings.batch + " x " + settings.decodeTokens + " tokens");
                        decode.add(decode(engine, contexts));
                    }
                    peakRss = peakRss.isPresent() ? peakRss : ProcessMemory.peakResident(); // before memory is taken to be read
                    progress.phase(where + "reading memory");
                    read.add(reader.measureRead(readBytes));
                }
            }
            return new Result(
                    info,
                    settings,
                    load,
                    firstToken,
                    Samples.of(prefill),
                    Samples.of(decode),
                    Samples.of(read),
                    stepBytes(engine.inspect()),
                    peakRss);
        }
    }

    private static long readBytes() {
        DeviceInfo cpu = Device.list().getFirst();
        return Math.clamp(cpu.memoryFree() / 4, 1L << 20, READ_BYTES);
    }

    private double prefill(Engine engine, List<Integer> prompt) {
        return prompt.size() / (engine.generate(prompt, answer(1)).timings().firstToken().toNanos() * 1e-9);
    }

    /**
     * From the moment when the last stream has its first token, the prompts being done, to the moment when the first stream has its
     * last one.
     */
    private double decode(Engine engine, List<List<Integer>> contexts) {
        List<long[]> times = new ArrayList<>();
        try (ExecutorService readers = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<long[]>> streams = new ArrayList<>();
            for (List<Integer> context : contexts) {
                TokenStream stream = engine.stream(context, answer(settings.decodeTokens + 1));
                streams.add(readers.submit(() -> tokenTimes(stream)));
            }
            for (Future<long[]> stream : streams) {
                times.add(stream.get());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IntarsiaException("interrupted while measuring", e);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException cause ? cause : new IntarsiaException("measuring failed", e);
        }
        return rate(times);
    }

    private static long[] tokenTimes(TokenStream stream) {
        try (stream) {
            long[] times = new long[16];
            int count = 0;
            while (stream.hasNext()) {
                stream.next();
                times = count == times.length ? Arrays.copyOf(times, 2 * count) : times;
                times[count++] = System.nanoTime();
            }
            return Arrays.copyOf(times, count);
        }
    }

    /**
     * Tokens per second while all streams decode.
     *
     * @param times when each token of each stream came, nanoseconds
     * @throws IntarsiaException if they never did
     */
    static double rate(List<long[]> times) {
        long begin = times.stream().mapToLong(each -> each[0]).max().orElseThrow();
        long end = times.stream().mapToLong(each -> each[each.length - 1]).min().orElseThrow();
        if (end <= begin) {
            throw new IntarsiaException("the " + times.size() + " streams never decoded at the same time: the first ended before the "
                    + "last had read its prompt; measure with more decode tokens or a smaller batch");
        }
        long tokens = times.stream()
                .flatMapToLong(Arrays::stream)
                .filter(time -> time > begin && time <= end)
                .count();
        return tokens / seconds(begin, end);
    }

    /** Every weight once, and for each stream the keys and values that attention sees, at the mean length of the sequences. */
    private long stepBytes(ModelReport report) {
        EngineInfo info = report.engine();
        ModelConfig model = report.model();
        long weights = report.pieces().stream().mapToLong(ModelReport.Piece::weightBytes).sum();
        double positionBytes = (double) info.kvCacheBytes() / info.kvBlocks() / KvCache.BLOCK / model.numLayers();
        double length = settings.context + (settings.decodeTokens + 1) / 2.0;
        double positions = 0;
        for (int layer = 0; layer < model.numLayers(); layer++) {
            positions += model.slides(layer) ? Math.min(length, model.slidingWindow().orElseThrow()) : length;
        }
        return weights + Math.round(settings.batch * positions * positionBytes);
    }

    /** Greedy, and the end of a text does not end it. */
    private static SamplingParams answer(int tokens) {
        return SamplingParams.greedy(tokens).toBuilder().ignoreEos(true).build();
    }

    private static List<Integer> ids(SplittableRandom random, int count, EngineInfo info) {
        return random.ints(count, 0, info.vocabulary()).boxed().toList();
    }

    private static double seconds(long from, long to) {
        return (to - from) * 1e-9;
    }
}
