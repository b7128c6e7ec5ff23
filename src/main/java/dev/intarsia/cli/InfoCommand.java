package dev.intarsia.cli;

import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceInfo;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.LibraryInfo;
import dev.intarsia.runtime.NativeLibrary;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.core.JsonGenerator;

/** {@code info}: what this machine and this build have. */
@Command(
        name = "info",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        description = "Says which versions run, which native library was loaded and how it was found, and what devices "
                + "this machine has or why one is missing.")
final class InfoCommand implements Callable<Integer> {
    private static final double GIB = 1L << 30;

    private final Host host;

    @Option(names = "--json", description = "Print one JSON object.")
    private boolean json;

    InfoCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        LibraryInfo library = NativeLibrary.describe();
        List<DeviceInfo> devices = Device.list();
        host.out().println(json ? toJson(library, devices) : toText(library, devices));
        return ExitCode.OK;
    }

    static String toText(LibraryInfo library, List<DeviceInfo> devices) {
        StringBuilder text = new StringBuilder();
        line(text, "intarsia", Version.intarsia());
        line(text, "java", Version.java());
        line(text, "system", system());
        line(text, "library", library.version() + ", build " + library.buildId());
        line(text, "", library.path() + " (" + library.source() + ")");
        for (DeviceInfo device : devices) {
            String kind = device.kind() == DeviceKind.CUDA && device.available() ? kind(device) + ":" + device.ordinal() : kind(device);
            if (!device.available()) {
                line(text, kind, "not available: " + device.note());
                continue;
            }
            line(text, kind, device.name());
            if (!device.tiers().isEmpty()) {
                line(text, "", "tier " + device.tier() + ", of " + String.join(" ", device.tiers()));
            }
            if (device.defaultThreads() > 0) {
                line(text, "", device.defaultThreads() + " threads");
            }
            line(text, "", String.format(Locale.ROOT, "%.1f of %.1f GiB of memory free",
                    device.memoryFree() / GIB, device.memoryTotal() / GIB));
            if (!device.note().isBlank()) {
                line(text, "", device.note());
            }
        }
        return text.toString().stripTrailing();
    }

    private static void line(StringBuilder text, String name, String value) {
        text.append(String.format(Locale.ROOT, "%-10s%s%n", name, Failures.onOneLine(value)));
    }

    static String toJson(LibraryInfo library, List<DeviceInfo> devices) {
        return Json.object(json -> {
            json.writeStringProperty("version", Version.intarsia());
            json.writeStringProperty("java", Version.java());
            json.writeStringProperty("system", system());
            json.writeObjectPropertyStart("library");
            json.writeStringProperty("version", library.version());
            json.writeStringProperty("build", library.buildId());
            json.writeStringProperty("path", library.path().toString());
            json.writeStringProperty("source", library.source().toString());
            json.writeEndObject();
            json.writeArrayPropertyStart("devices");
            devices.forEach(device -> write(json, device));
            json.writeEndArray();
        });
    }

    private static void write(JsonGenerator json, DeviceInfo device) {
        json.writeStartObject();
        json.writeStringProperty("kind", kind(device));
        json.writeNumberProperty("ordinal", device.ordinal());
        json.writeStringProperty("name", device.name());
        json.writeBooleanProperty("available", device.available());
        json.writeStringProperty("note", device.note());
        json.writeNumberProperty("threads", device.defaultThreads());
        json.writeStringProperty("tier", device.tier());
        json.writeArrayPropertyStart("tiers");
        device.tiers().forEach(json::writeString);
        json.writeEndArray();
        json.writeNumberProperty("memory_total_bytes", device.memoryTotal());
        json.writeNumberProperty("memory_free_bytes", device.memoryFree());
        json.writeEndObject();
    }

    private static String kind(DeviceInfo device) {
        return device.kind().name().toLowerCase(Locale.ROOT);
    }

    private static String system() {
        return System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                + System.getProperty("os.arch");
    }
}
