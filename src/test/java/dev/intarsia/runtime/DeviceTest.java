package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

class DeviceTest {

    @Test
    void theFirstDeviceIsTheCpu() {
        DeviceInfo cpu = Device.list().getFirst();
        assertThat(cpu.kind()).isEqualTo(DeviceKind.CPU);
        assertThat(cpu.available()).isTrue();
        assertThat(cpu.name()).isNotBlank();
        assertThat(cpu.defaultThreads()).isBetween(1, 4096);
        assertThat(cpu.memoryTotal()).isGreaterThan(1 << 20);
        assertThat(cpu.memoryFree()).isBetween(1L, cpu.memoryTotal());
        assertThat(cpu.tiers()).contains("scalar").doesNotHaveDuplicates();
        assertThat(cpu.tiers()).contains(cpu.tier());
    }

    @Test
    void everyTierThatTheMachineRunsOpens() {
        for (String tier : Device.list().getFirst().tiers()) {
            Device.open(DeviceOptions.cpu().withTier(tier).withThreads(1)).close();
        }
        Device.open(DeviceOptions.cpu()).close();
    }

    @Test
    void whatCannotBeOpenedIsNamed() {
        assertFails(DeviceOptions.cpu().withTier("sse9"), "sse9");
        assertFails(DeviceOptions.cpu().withThreads(100_000), "100000");
        assertFails(new DeviceOptions(DeviceKind.CPU, 3, 0, "", false, 0), "3");
        assertFails(DeviceOptions.cpu().withMemory(1 << 30), "memory");
    }

    @Test
    void optionsThatCannotBePassedAreIllegal() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DeviceOptions.cpu().withThreads(-1))
                .withMessage("threads must be >= 0, was -1");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DeviceOptions.cpu().withTier("a\0b"))
                .withMessageContaining("tier");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Device.open(DeviceOptions.cpu().withTier("x".repeat(32))))
                .withMessage("tier must have at most 31 bytes in UTF-8, had 32");
    }

    @Test
    void devicesHaveNames() {
        assertThat(DeviceOptions.named("cpu")).isEqualTo(DeviceOptions.cpu());
        assertThat(DeviceOptions.named("cuda")).isEqualTo(DeviceOptions.cuda(0));
        assertThat(DeviceOptions.named("cuda:0")).isEqualTo(DeviceOptions.cuda(0));
        assertThat(DeviceOptions.named("cuda:12")).isEqualTo(DeviceOptions.cuda(12));
        assertThat(DeviceOptions.cuda(12).name()).isEqualTo("cuda:12");
        assertThat(DeviceOptions.cpu().name()).isEqualTo("cpu");
        for (String wrong : new String[] {"", "CPU", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:01", "cuda:1.0", "cuda:99999", " cuda", "cuda 0"}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> DeviceOptions.named(wrong))
                    .withMessageStartingWith("device is " + wrong + "; it must be cpu, cuda, or cuda:N");
        }
    }

    /** Every machine has a CUDA entry, which can be opened or says why not. */
    @Test
    void aMissingCudaDeviceIsAReasonAndNoFailure() {
        DeviceInfo cuda = Device.list().get(1);
        assertThat(cuda.kind()).isEqualTo(DeviceKind.CUDA);
        assertThat(cuda.ordinal()).isZero();
        assertThat(cuda.note()).isNotBlank();
        if (!cuda.available()) {
            assertThatExceptionOfType(NativeException.class)
                    .isThrownBy(() -> Device.open(DeviceOptions.cuda(0)).close())
                    .withMessageContaining(cuda.note());
        }
    }

    private static void assertFails(DeviceOptions options, String named) {
        assertThatExceptionOfType(NativeException.class)
                .isThrownBy(() -> Device.open(options).close())
                .withMessageContaining(named)
                .satisfies(e -> assertThat(e.status())
                        .isIn(NativeStatus.INVALID_ARGUMENT, NativeStatus.UNSUPPORTED));
    }

    @Test
    void readsAreMeasuredWithinBounds() {
        try (Device device = Device.open(DeviceOptions.cpu().withThreads(2))) {
            assertThat(device.measureRead(8 << 20)).isBetween(1e8, 1e13);
            assertThatExceptionOfType(NativeException.class)
                    .isThrownBy(() -> device.measureRead(1000))
                    .withMessageContaining("bytes is 1000, not in 1048576..");
            assertThatExceptionOfType(NativeException.class).isThrownBy(() -> device.measureRead(-1));
        }
    }
}
