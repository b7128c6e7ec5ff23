package dev.intarsia.cli.bench;

import dev.intarsia.Completion;
import dev.intarsia.Engine;
import dev.intarsia.EngineInfo;
import dev.intarsia.GenerationRequest;
import dev.intarsia.IntarsiaException;
import dev.intarsia.SamplingParams;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceInfo;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.KvCache;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Measures an engine by its public API, so that what is measured is what a service gets: how long it takes to open, how fast it reads a
 * prompt, how fast it decodes, and how that compares with the time that reading the weights takes on this machine, measured in turns with the rest.
 */
public final class EngineBench {
    /** Far beyond any cache; less where memory is short. A CUDA device reads as much as a small model has. */
    private static final long READ_BYTES = 512L << 20;

    private static final long CUDA_READ_BYTES = 1_200_000_000;

    /** Prompts of the measured length that come before, so that a service that has run for a while is measured, and the compiler has done its work. */
    private static final int WARM_PROMPTS = 40;

    private static final Duration WARM_TIME = Duration.ofSeconds(1); // after which no more are begun

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
     * @param decode     tokens of all streams per second after their first, one value a repeat
     * @param read       bytes per second that the threads of the engine read from memory, or a CUDA device from its own
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
            engine.generate(ids(random, Math.clamp(settings.promptTokens, 1, 64), info), answer(1));
            long warm = System.nanoTime();
            for (int i = 0; settings.promptTokens > 0 && i < WARM_PROMPTS && System.nanoTime() - warm < WARM_TIME.toNanos(); i++) {
                engine.generate(ids(random, settings.promptTokens, info), answer(1));
            }
            List<List<Integer>> contexts = new ArrayList<>();
            if (settings.decodeTokens > 0) {
                for (int stream = 0; stream < settings.batch; stream++) {
                    contexts.add(ids(random, settings.context, info));
                }
                all(engine, contexts, 3); // the prefix cache has them from now on, so that all streams begin to decode at once
            }
            List<Double> prefill = new ArrayList<>();
            List<Double> decode = new ArrayList<>();
            List<Double> read = new ArrayList<>();
            OptionalLong peakRss = OptionalLong.empty();
            DeviceInfo device = device(info);
            try (Device reader = Device.open(reader(info))) {
                long readBytes = Math.clamp(
                        device.memoryFree() / 4, 1L << 20, device.kind() == DeviceKind.CUDA ? CUDA_READ_BYTES : READ_BYTES);
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

    /** The engine's device, as it is now. */
    private static DeviceInfo device(EngineInfo info) {
        return Device.list().stream()
                .filter(device -> device.kind() == info.deviceKind() && device.ordinal() == info.deviceOrdinal())
                .findFirst()
                .orElseThrow();
    }

    /** The engine's device, opened beside it. */
    private static DeviceOptions reader(EngineInfo info) {
        DeviceOptions options = info.deviceKind() == DeviceKind.CUDA ? DeviceOptions.cuda(info.deviceOrdinal()) : DeviceOptions.cpu();
        return options.withThreads(info.threads()).withTier(info.cpuTier());
    }

    private double prefill(Engine engine, List<Integer> prompt) {
        return prompt.size() / (engine.generate(prompt, answer(1)).timings().firstToken().toNanos() * 1e-9);
    }

    private double decode(Engine engine, List<List<Integer>> contexts) {
        long start = System.nanoTime();
        return rate(all(engine, contexts, settings.decodeTokens + 1).stream()
                .map(completion -> {
                    Completion.Timings timings = completion.timings();
                    Duration first = timings.queued().plus(timings.firstToken());
                    return new Stream(settings.decodeTokens, first.toNanos(), first.plus(timings.decode()).toNanos());
                })
                .toList());
    }

    private static List<Completion> all(Engine engine, List<List<Integer>> prompts, int tokens) {
        return engine.generateAll(prompts.stream()
                .map(prompt -> GenerationRequest.of(prompt, answer(tokens)))
                .toList());
    }

    /**
     * One stream as it decoded, on the engine's clock.
     *
     * @param tokens after the first
     * @param first  nanoseconds from the start to the first token
     * @param last   to the last
     */
    record Stream(int tokens, long first, long last) {}

    /**
     * Tokens per second of all streams together: what each made in the time from its first token to its last.
     *
     * @throws IntarsiaException if they did not decode at the same time
     */
    static double rate(List<Stream> streams) {
        long begin = streams.stream().mapToLong(Stream::first).max().orElseThrow();
        long end = streams.stream().mapToLong(Stream::last).min().orElseThrow();
        if (end <= begin) {
            throw new IntarsiaException("the " + streams.size() + " streams never decoded at the same time: the first ended before the "
                    + "last had read its prompt; measure with more decode tokens or a smaller batch");
        }
        return streams.stream()
                .mapToDouble(stream -> stream.tokens / seconds(stream.first, stream.last))
                .sum();
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
