package dev.intarsia.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.intarsia.artifact.Lookup.Cause;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** File systems that do not let the store read or write: it goes on without, and says so once. */
class TroubleTest {
    private static final ArtifactKey KEY = ArtifactKey.of("p1", "(1, 8)");

    private final List<String> events = new ArrayList<>();

    @TempDir
    private Path directory;

    /** Uses a store in every way, twice: nothing is thrown and nothing kept. */
    private void isWithoutUse(ArtifactStore store) {
        for (int i = 0; i < 2; i++) {
            assertThat(store.put(KEY, new byte[3])).isFalse();
            assertThat(store.find(KEY)).isInstanceOf(Lookup.Miss.class);
            assertThat(store.explain(KEY)).isNotBlank();
            assertThat(store.contents()).isEqualTo(new StoreContents(0, 0, 0));
        }
    }

    @Test
    void aFileWhereTheDirectoryShouldBe() throws IOException {
        Path file = Files.write(directory.resolve("file"), new byte[3]);
        for (Path path : List.of(file, file.resolve("below"))) {
            ArtifactStore store = ArtifactStore.open(path, events::add);
            assertThat(store.isUsable()).isFalse();
            isWithoutUse(store);
            assertThat(events).singleElement().asString().contains("no artifacts are kept", path.toString());
            assertThat(store.explain(KEY)).isEqualTo(events.getFirst());
            events.clear();
        }
        assertThat(file).hasBinaryContent(new byte[3]);
    }

    @Test
    void aDirectoryThatNobodyCanWriteTo() {
        Path proc = Path.of("/proc");
        assumeThat(proc).isDirectory();
        isWithoutUse(ArtifactStore.open(proc.resolve("artifacts"), events::add));
        assertThat(events).singleElement().asString().contains("/proc/artifacts");
    }

    @Test
    void aDirectoryThatWentAway() throws IOException {
        ArtifactStore store = ArtifactStore.open(directory.resolve("store"), events::add);
        Files.delete(directory.resolve("store/index"));
        Files.delete(directory.resolve("store/objects"));
        isWithoutUse(store);
        assertThat(events).hasSize(2).doesNotHaveDuplicates();
    }

    @Test
    void aFileThatCannotBeRead() throws IOException {
        Path memory = Path.of("/proc/self/mem"); // a regular file; no address 0 is mapped
        assumeThat(memory).exists();
        ArtifactStore store = ArtifactStore.open(directory, events::add);
        Path index = directory.resolve("index").resolve(KEY.hash());
        Files.createSymbolicLink(index, memory);
        for (int i = 0; i < 2; i++) {
            assertThat(store.find(KEY)).isInstanceOfSatisfying(
                    Lookup.Miss.class, miss -> assertThat(miss.cause()).isEqualTo(Cause.UNAVAILABLE));
        }
        assertThat(events).singleElement().asString().contains(index.toString());
        assertThat(store.put(KEY, new byte[3])).isTrue();
        assertThat(store.find(KEY)).hasToString("hit, 3 bytes");
    }

    /** The kernel refuses every byte of a file beyond a limit, as a full disk does. */
    @Test
    void aLimitOnTheSizeOfFiles() throws Exception {
        takesTheSmallAndNotTheLarge(shell("ulimit -f 100 && \"$@\""), "File too large");
    }

    @Test
    void aFullDisk() throws Exception {
        takesTheSmallAndNotTheLarge(
                shell(inNamespace(), "mount -t tmpfs -o size=64k tmpfs " + directory + " && \"$@\""),
                "No space left on device");
    }

    @Test
    void aReadOnlyFileSystemStillAnswers() throws Exception {
        String script = "mount -t tmpfs -o size=64k tmpfs %1$s && \"$@\" >%1$s/log"
                + " && mount -o remount,ro %1$s && \"$@\"";
        takesTheSmallAndNotTheLarge(
                shell(inNamespace(), script.formatted(directory)), "Read-only file system");
    }

    /** Mounts of a process in a namespace of its own are nobody else's, and end with it. */
    private static String[] inNamespace() throws Exception {
        String[] unshare = {"unshare", "--map-root-user", "--mount"};
        int exit;
        try {
            exit = new ProcessBuilder(unshare[0], unshare[1], unshare[2], "true")
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start()
                    .waitFor();
        } catch (IOException e) {
            exit = -1; // there is no such command
        }
        assumeThat(exit).as("this user may have a namespace").isZero();
        return unshare;
    }

    /** A command line that runs a shell script, whose arguments are the child's command line. */
    private List<String> shell(String script) {
        return shell(new String[0], script);
    }

    private List<String> shell(String[] before, String script) {
        List<String> command = new ArrayList<>(List.of(before));
        command.addAll(List.of("sh", "-c", script, "sh"));
        command.addAll(StoreChild.command("fill", directory.toString(), "100000"));
        return command;
    }

    private static void takesTheSmallAndNotTheLarge(List<String> command, String cause) throws Exception {
        Process child = StoreChild.start(command);
        String output = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(child.waitFor()).as(output).isZero();
        List<String> lines = output.lines().toList();
        assertThat(lines).as(output).hasSize(7);
        assertThat(lines.get(0)).isEqualTo("small: true");
        assertThat(lines.get(1)).startsWith("event: artifacts cannot be written").endsWith(cause);
        assertThat(lines.subList(2, 5)).containsExactly("large: false", "again: false", "small: hit, 10 bytes");
        assertThat(lines.get(5)).startsWith("large: miss, nothing is stored");
        assertThat(lines.get(6)).as("nothing half written is left").isEqualTo("files: 1");
    }

    @Test
    void theConfiguredPlace() {
        Map<String, String> properties = new HashMap<>(Map.of("user.home", directory.resolve("home").toString()));
        Map<String, String> environment = new HashMap<>();
        assertThat(placed(properties, environment)).isEqualTo(directory.resolve("home/.cache/intarsia/artifacts"));
        environment.put("XDG_CACHE_HOME", "relative");
        assertThat(placed(properties, environment)).isEqualTo(directory.resolve("home/.cache/intarsia/artifacts"));
        environment.put("XDG_CACHE_HOME", directory.resolve("xdg").toString());
        assertThat(placed(properties, environment)).isEqualTo(directory.resolve("xdg/intarsia/artifacts"));
        properties.put("intarsia.artifacts", directory.resolve("own").toString());
        assertThat(placed(properties, environment)).isEqualTo(directory.resolve("own"));
        assertThat(events).isEmpty();
    }

    private Path placed(Map<String, String> properties, Map<String, String> environment) {
        assertThat(ArtifactStore.openConfigured(properties::get, environment::get, events::add).put(KEY, new byte[3]))
                .isTrue();
        Path place = StoreLocation.configured(properties::get, environment::get).directory().orElseThrow();
        assertThat(place.resolve("index").resolve(KEY.hash())).exists();
        return place;
    }

    @Test
    void switchedOffIsNoTrouble() {
        Map<String, String> properties = Map.of("intarsia.artifacts", "off", "user.home", directory.toString());
        isWithoutUse(ArtifactStore.openConfigured(properties::get, name -> null, events::add));
        assertThat(events).isEmpty();
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void noHomeAndNoUsablePath() {
        for (Map<String, String> properties : List.of(
                Map.<String, String>of(),
                Map.of("user.home", "?"),
                Map.of("user.home", "a\0b"),
                Map.of("intarsia.artifacts", "a\0b", "user.home", directory.toString()))) {
            isWithoutUse(ArtifactStore.openConfigured(properties::get, name -> null, events::add));
            assertThat(events).singleElement().asString().contains("no artifacts are kept", "intarsia.artifacts");
            events.clear();
        }
    }

    @Test
    void theDefaultOfThisProcess() {
        assertThat(ArtifactStore.defaultDirectory())
                .isEqualTo(StoreLocation.standard(System::getProperty, System::getenv).directory());
    }
}
