package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceInfo;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.LibraryInfo;
import dev.intarsia.runtime.LibrarySource;
import dev.intarsia.runtime.NativeLibrary;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class InfoCommandTest {
    private static final LibraryInfo LIBRARY =
            new LibraryInfo(Path.of("/lib/libintarsia.so"), LibrarySource.ENVIRONMENT, "1.2.3", "abc");
    private static final DeviceInfo CPU = new DeviceInfo(
            DeviceKind.CPU, 0, true, "A processor", 6, 8L << 30, 5L << 29, List.of("avx2", "scalar"), "scalar", "");
    private static final DeviceInfo GPU =
            new DeviceInfo(DeviceKind.CUDA, 0, false, "CUDA", 0, 0, 0, List.of(), "", "libcuda.so.1:\nnot found");

    @Test
    void text() {
        assertThat(InfoCommand.toText(LIBRARY, List.of(CPU, GPU)).lines()).containsSubsequence(
                "library   1.2.3, build abc",
                "          /lib/libintarsia.so (environment variable INTARSIA_LIBRARY)",
                "cpu       A processor",
                "          tier scalar, of avx2 scalar",
                "          6 threads",
                "          2.5 of 8.0 GiB of memory free",
                "cuda      not available: libcuda.so.1: not found");
    }

    @Test
    void devicesThatCanBeOpenedHaveTheNameThatTheOptionTakes() {
        DeviceInfo first = new DeviceInfo(
                DeviceKind.CUDA, 0, true, "A GPU", 0, 141L << 30, 100L << 30, List.of(), "", "compute capability 9.0");
        DeviceInfo second = new DeviceInfo(DeviceKind.CUDA, 1, true, "Another", 0, 8L << 30, 8L << 30, List.of(), "", "");
        assertThat(InfoCommand.toText(LIBRARY, List.of(CPU, first, second)).lines()).containsSubsequence(
                "cuda:0    A GPU",
                "          100.0 of 141.0 GiB of memory free",
                "          compute capability 9.0",
                "cuda:1    Another");
    }

    @Test
    void json() {
        JsonNode json = JsonMapper.shared().readTree(InfoCommand.toJson(LIBRARY, List.of(CPU, GPU)));
        assertThat(json.get("library").get("path").asString()).isEqualTo("/lib/libintarsia.so");
        assertThat(json.get("library").get("source").asString()).contains("INTARSIA_LIBRARY");
        JsonNode cpu = json.get("devices").get(0);
        assertThat(cpu.get("kind").asString()).isEqualTo("cpu");
        assertThat(cpu.get("available").asBoolean()).isTrue();
        assertThat(cpu.get("threads").asInt()).isEqualTo(6);
        assertThat(cpu.get("tiers").size()).isEqualTo(2);
        assertThat(cpu.get("memory_total_bytes").asLong()).isEqualTo(8L << 30);
        JsonNode gpu = json.get("devices").get(1);
        assertThat(gpu.get("available").asBoolean()).isFalse();
        assertThat(gpu.get("note").asString()).contains("not found");
    }

    @Test
    void thisMachine() {
        Shell.Result text = new Shell().run("info");
        assertThat(text.exit()).isZero();
        assertThat(text.err()).isEmpty();
        assertThat(text.out()).contains(NativeLibrary.describe().path().toString(), NativeLibrary.describe().buildId());

        JsonNode json = new Shell().run("info", "--json").json();
        assertThat(json.get("library").get("version").asString()).isEqualTo(NativeLibrary.describe().version());
        assertThat(json.get("devices").size()).isEqualTo(Device.list().size());
        assertThat(json.get("devices").get(0).get("name").asString()).isEqualTo(Device.list().getFirst().name());
    }
}
