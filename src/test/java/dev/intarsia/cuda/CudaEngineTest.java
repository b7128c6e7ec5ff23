package dev.intarsia.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.GenerationRequest;
import dev.intarsia.IntarsiaException;
import dev.intarsia.Quantize;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceInfo;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.Precision;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Engines on a CUDA device: several at once, many after one another, many steps; and what is refused. */
@OnCuda
@Timeout(300)
class CudaEngineTest {
    private static final Path QWEN = TestModels.checkpoint("qwen3-tied");
    private static final Path LLAMA = TestModels.checkpoint("llama-linear-f32");
    private static final long MIB = 1 << 20;

    private static EngineOptions.Builder options() {
        return EngineOptions.builder().device("cuda").maxNumSeqs(4).artifacts(EngineOptions.NO_ARTIFACTS);
    }

    private static SamplingParams sampled(int seed, int tokens) {
        return SamplingParams.builder().seed(seed).maxTokens(tokens).ignoreEos(true).build();
    }

    private static long free() {
        return Device.list().stream()
                .filter(device -> device.kind() == DeviceKind.CUDA)
                .findFirst()
                .orElseThrow()
                .memoryFree();
    }

    @Test
    void theDeviceSaysWhatItIsAndHowFastItReads() {
        DeviceInfo info = Device.list().get(1);
        assertThat(info.kind()).isEqualTo(DeviceKind.CUDA);
        assertThat(info.ordinal()).isZero();
        assertThat(info.name()).isNotBlank();
        assertThat(info.memoryTotal()).isGreaterThan(1L << 30);
        assertThat(info.memoryFree()).isBetween(1L, info.memoryTotal());
        try (Device device = Device.open(DeviceOptions.cuda(0).withMemory(1L << 30))) {
            double least = info.name().equals("Emulated") ? 1e8 : 1e10; // the first is the host's memory, whatever else the host does
            assertThat(device.measureRead(64 << 20)).isBetween(least, 1e14);
        }
    }

    @Test
    void twoEnginesOnOneDeviceAnswerAsEachDoesAlone() throws Exception {
        List<Path> models = List.of(QWEN, LLAMA);
        EngineOptions options = options().deterministic(true).build();
        List<List<Integer>> alone = new ArrayList<>();
        for (Path model : models) {
            try (Engine engine = Engine.open(model, options)) {
                for (int i = 0; i < 12; i++) {
                    alone.add(engine.generate(List.of(i + 1, 2 * i + 1), sampled(i, 12)).tokens());
                }
            }
        }
        try (Engine first = Engine.open(models.get(0), options);
                Engine second = Engine.open(models.get(1), options);
                ExecutorService threads = Executors.newFixedThreadPool(6)) {
            List<Callable<List<Integer>>> calls = new ArrayList<>();
            for (Engine engine : List.of(first, second)) {
                for (int i = 0; i < 12; i++) {
                    List<Integer> prompt = List.of(i + 1, 2 * i + 1);
                    SamplingParams params = sampled(i, 12);
                    calls.add(() -> engine.generate(prompt, params).tokens());
                }
            }
            List<Future<List<Integer>>> answers = threads.invokeAll(calls);
            for (int i = 0; i < answers.size(); i++) {
                assertThat(answers.get(i).get()).isEqualTo(alone.get(i));
            }
        }
    }

    @Test
    void fiftyEnginesOneAfterTheOtherLeaveNothingOnTheDevice() {
        long before = 0;
        for (int i = 0; i < 50; i++) {
            try (Engine engine = Engine.open(i % 2 == 0 ? QWEN : LLAMA, options().build())) {
                assertThat(engine.generate(List.of(1, 2, 3), sampled(i, 3)).tokens()).hasSize(3);
            }
            if (i == 4) { // the driver's own, loaded modules included, is there by now
                before = free();
            }
        }
        assertThat(before - free()).as("bytes less of device memory").isLessThan(4 * MIB);
    }

    /** -Dintarsia.steps=10000 for the long run; the short one is a cut of it. */
    @Test
    void manyStepsOfAllKindsLeaveTheMemoryFlat() {
        int steps = Integer.getInteger("intarsia.steps", 1000);
        Random random = new Random(5);
        try (Engine engine = Engine.open(QWEN, options().maxNumSeqs(16).build())) {
            long before = 0;
            while (engine.stats().steps() < steps) {
                List<GenerationRequest> requests = new ArrayList<>();
                for (int i = 0; i < 24; i++) {
                    List<Integer> prompt = random.ints(1 + random.nextInt(120), 3, 500).boxed().toList();
                    SamplingParams params = i % 2 == 0
                            ? SamplingParams.greedy(1 + random.nextInt(60))
                            : SamplingParams.builder().seed(i).topK(20).logprobs(i % 3).maxTokens(1 + random.nextInt(60)).build();
                    requests.add(GenerationRequest.of(prompt, params));
                }
                engine.generateAll(requests);
                if (before == 0 && engine.stats().steps() > steps / 10) {
                    before = free();
                }
            }
            assertThat(before).isPositive();
            assertThat(before - free()).as("bytes less of device memory after " + engine.stats().steps() + " steps")
                    .isLessThan(2 * MIB);
        }
    }

    @Test
    void samplingWithEveryParameterIsAsOnTheCpu() {
        GenerationRequest request = GenerationRequest.of(
                List.of(5, 6, 7, 8),
                SamplingParams.builder()
                        .seed(3)
                        .temperature(0.7)
                        .topK(40)
                        .topP(0.9)
                        .presencePenalty(0.4)
                        .repetitionPenalty(1.2)
                        .logprobs(3)
                        .maxTokens(24)
                        .build());
        List<List<Integer>> tokens = new ArrayList<>();
        for (String device : List.of("cpu", "cuda")) {
            EngineOptions options = options().device(device).precision(Precision.F32).build();
            try (Engine engine = Engine.open(QWEN, options)) {
                tokens.add(engine.generate(request).tokens());
            }
        }
        assertThat(tokens.get(1)).isEqualTo(tokens.get(0));
    }

    @Test
    void whatTheDeviceCannotDoIsRefusedByName() {
        assertThatThrownBy(() -> Engine.open(QWEN, options().quantize(Quantize.INT8).build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("quantize is INT8")
                .hasMessageContaining("device cpu");
        assertThatThrownBy(() -> Engine.open(QWEN, options().device("cuda:99").build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("device is cuda:99");
        assertThatThrownBy(() -> Engine.open(QWEN, options().deviceMemory(Long.MAX_VALUE).build()))
                .isInstanceOf(IntarsiaException.class)
                .hasMessageContaining("deviceMemory is " + Long.MAX_VALUE)
                .hasMessageContaining("bytes of");
        assertThatThrownBy(() -> Engine.open(TestModels.holmes(), options().deviceMemory(600 * MIB).kvCacheBytes(500 * MIB).build()))
                .isInstanceOf(IntarsiaException.class)
                .hasMessageContaining("kvCacheBytes");
    }
}
