package dev.intarsia.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.fuzz.Input.Target;
import dev.intarsia.lifetime.Footprint;
import dev.intarsia.lifetime.Warnings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.OS;

/**
 * Checkpoint directories that nobody vouches for: valid ones with a few edits, and whole ones of odd sizes with any
 * numbers for weights. Each must be served, or refused with an exception of this library that says why in one sentence,
 * in bounded time and memory.
 *
 * <p>{@code -Dintarsia.fuzz.inputs=N} tries N inputs, {@code -Dintarsia.fuzz.seed=S} others, and
 * {@code -Dintarsia.fuzz.only=INDEX} just one, which stays on the disk. An input that ends the whole process lies in
 * the directory that was printed at the start, in a directory named by its index.
 */
class CheckpointFuzzTest {

    private static final long INPUTS = Long.getLong("intarsia.fuzz.inputs", 20_000);
    private static final long SEED = Long.getLong("intarsia.fuzz.seed", 1);
    private static final Long ONLY = Long.getLong("intarsia.fuzz.only");
    private static final int MAX_THREADS = 4;
    private static final long WARM_UP = 1_000;
    private static final boolean LINUX = OS.LINUX.isCurrentOs();

    private final Warnings warnings = new Warnings();

    @AfterEach
    void nothingWasReported() {
        warnings.close();
        assertThat(warnings.messages()).isEmpty();
    }

    @Test
    void hostileCheckpointsAreServedOrRefusedInOneSentence() throws Exception {
        Path work = Files.createTempDirectory("intarsia-fuzz-");
        Inputs inputs = new Inputs(SEED, new Seeds(Files.createDirectory(work.resolve("seeds"))));
        if (ONLY != null) {
            assertThat(only(inputs, inputs.input(ONLY), work)).isEmpty();
            return;
        }
        System.out.println("fuzz: " + INPUTS + " inputs of seed " + SEED + " in " + work);
        long begin = System.nanoTime();
        Fuzzer fuzzer = new Fuzzer(inputs, work);
        int threads = Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MAX_THREADS);
        long warm = Math.min(WARM_UP, INPUTS / 2);
        fuzzer.run(0, warm, threads);
        Footprint before = LINUX ? Footprint.now() : null;
        List<String> failures = fuzzer.run(warm, INPUTS, threads);
        System.out.println("fuzz: " + (System.nanoTime() - begin) / 1_000_000 + " ms, " + fuzzer);
        assertThat(failures)
                .as("seed %d; one input alone: -Dintarsia.fuzz.seed=%d -Dintarsia.fuzz.only=INDEX", SEED, SEED)
                .isEmpty();
        for (Target target : Target.values()) {
            // edits that are all refused at the first look would test nothing behind it
            assertThat(fuzzer.count(target, "accepted")).as("%s accepted of %s", target, fuzzer).isPositive();
        }
        if (LINUX) {
            assertNothingLeft(before, Footprint.now());
        }
        Input.delete(work);
    }

    /** Files and memory of what was refused are given back too. */
    private static void assertNothingLeft(Footprint before, Footprint after) {
        String both = before + " and later " + after;
        assertThat(after.descriptors()).as(both).isLessThanOrEqualTo(before.descriptors() + 4);
        assertThat(after.threads()).as(both).isLessThanOrEqualTo(before.threads() + 8);
        assertThat(after.mappings()).as(both).isLessThanOrEqualTo(before.mappings() + 100);
        assertThat(after.heap()).as(both).isLessThanOrEqualTo(before.heap() + (16 << 20));
        assertThat(after.allocated()).as(both).isLessThanOrEqualTo(before.allocated() + (48 << 20));
    }

    private static String only(Inputs inputs, Input input, Path work) throws IOException {
        Path directory = input.write(work);
        System.out.println("fuzz: " + input + " of seed " + SEED + " in " + directory);
        try {
            Targets.run(input, directory, inputs.random(input.index(), 1));
            System.out.println("fuzz: accepted");
            return "";
        } catch (Throwable e) {
            System.out.println("fuzz: " + e);
            return Verdict.of(e).complaint();
        }
    }
}
