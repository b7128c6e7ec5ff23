package dev.intarsia.artifact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.artifact.Lookup.Cause;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Files that are not what the store wrote: each is a miss that says so, and a put makes the entry whole again. */
class DamageTest {
    private static final ArtifactKey KEY = ArtifactKey.of("p1", "(1, 8)").with("build", "b1").with("threads", 8);
    private static final byte[] ARTIFACT = "sixteen bytes...".getBytes(StandardCharsets.UTF_8);

    private final List<String> events = new ArrayList<>();

    @TempDir
    private Path directory;

    private ArtifactStore store;
    private Path index;
    private Path object;

    @BeforeEach
    void putOne() {
        store = ArtifactStore.open(directory, events::add);
        assertThat(store.put(KEY, ARTIFACT)).isTrue();
        index = directory.resolve("index").resolve(KEY.hash());
        object = directory.resolve("objects").resolve(Sha256.of(ARTIFACT));
    }

    private String damage() {
        Lookup found = store.find(KEY);
        assertThat(found).isInstanceOf(Lookup.Miss.class);
        Lookup.Miss miss = (Lookup.Miss) found;
        assertThat(miss.cause()).as(miss.reason()).isEqualTo(Cause.DAMAGED);
        assertThat(miss.reason()).startsWith("its ").doesNotContain("\n");
        return miss.reason();
    }

    private void rebuild() {
        assertThat(store.put(KEY, ARTIFACT)).isTrue();
        assertThat(store.find(KEY))
                .isInstanceOfSatisfying(Lookup.Hit.class, hit -> assertThat(hit.bytes()).isEqualTo(ARTIFACT));
        assertThat(events).isEmpty();
    }

    @Test
    void filesCutAtEveryByte() throws IOException {
        for (Path file : List.of(index, object)) {
            byte[] whole = Files.readAllBytes(file);
            for (int length = 0; length < whole.length; length++) {
                Files.write(file, Arrays.copyOf(whole, length));
                damage();
                if (length % 16 == 0) {
                    rebuild();
                }
            }
            rebuild();
        }
    }

    @Test
    void filesWithAnyBitFlipped() throws IOException {
        for (Path file : List.of(index, object)) {
            byte[] bytes = Files.readAllBytes(file);
            for (int bit = 0; bit < 8 * bytes.length; bit++) {
                bytes[bit / 8] ^= (byte) (1 << bit % 8);
                Files.write(file, bytes, StandardOpenOption.WRITE);
                damage();
                bytes[bit / 8] ^= (byte) (1 << bit % 8);
            }
            rebuild();
        }
    }

    @Test
    void filesWithMoreThanTheyHad() throws IOException {
        for (Path file : List.of(index, object)) {
            for (byte more : new byte[] {0, '\n', ' ', '}'}) {
                byte[] bytes = Files.readAllBytes(file);
                byte[] longer = Arrays.copyOf(bytes, bytes.length + 1);
                longer[bytes.length] = more;
                Files.write(file, longer);
                damage();
                rebuild();
            }
        }
    }

    @Test
    void aBlockOfZerosWhereTheMachineStopped() throws IOException {
        for (Path file : List.of(index, object)) {
            Files.write(file, new byte[(int) Files.size(file)]);
            damage();
            rebuild();
        }
    }

    @Test
    void filesThatAreNoIndex() throws IOException {
        Random random = new Random(5);
        byte[] noise = new byte[500];
        String text = Files.readString(index);
        List<String> others = List.of(
                "",
                "null",
                "[]",
                "{}",
                "7",
                "[".repeat(100_000),
                text.replace("\"format\" : 1", "\"format\" : 2"),
                text.replace("\"format\" : 1", "\"format\" : 1e999999999"),
                text.replace("\"piece\"", "\"pieces\""),
                text.replace("\"b1\"", "null"),
                text.replace("\"b1\"", "{}"),
                text.replace("\"length\" : 16", "\"length\" : -1"),
                text.replace("\"length\" : 16", "\"length\" : 99999999999"),
                text.replace("\"length\" : 16", "\"length\" : 2147483639"),
                text.replace(object.getFileName().toString(), "../index/" + index.getFileName()),
                text.replace("\n", "\r\n"),
                text.replace("\"threads\" : \"8\"", "\"threads\" : \"8\",\n    \"threads\" : \"8\""));
        for (String other : others) {
            assertThat(other).isNotEqualTo(text);
            Files.writeString(index, other);
            damage();
        }
        for (int i = 0; i < 200; i++) {
            random.nextBytes(noise);
            Files.write(index, noise);
            damage();
        }
        try (RandomAccessFile huge = new RandomAccessFile(index.toFile(), "rw")) {
            huge.setLength(1L << 40);
        }
        assertThat(damage()).isEqualTo("its index file is larger than 1048576 bytes");
        rebuild();
    }

    @Test
    void theReasonSaysWhatIsWrong() throws IOException {
        Files.write(object, Arrays.copyOf(ARTIFACT, 15));
        assertThat(damage()).isEqualTo("its object has 15 bytes, not 16");
        Files.write(object, new byte[16]);
        assertThat(damage()).isEqualTo("its object does not match its checksum");
        Files.delete(object);
        assertThat(damage()).isEqualTo("its object is gone");
        assertThat(store.explain(KEY)).isEqualTo("damaged: its object is gone");
        String text = Files.readString(index);
        Files.writeString(index, text.replace("b1", "b2"));
        assertThat(damage()).isEqualTo("its index file does not match its checksum");
        Files.writeString(index, text.replace("\"format\" : 1", "\"format\" : 3"));
        assertThat(damage()).isEqualTo("its index file has format 3, not 1");
        Files.writeString(index, text.substring(1));
        assertThat(damage()).isEqualTo("its index file is not one that the store writes");
        rebuild();
    }

    /** An entry of another build, copied to where this build looks. */
    @Test
    void aForeignEntryInTheWrongPlace() throws IOException {
        ArtifactKey foreign = KEY.with("build", "b0");
        store.put(foreign, new byte[] {1});
        Files.copy(
                directory.resolve("index").resolve(foreign.hash()),
                index,
                StandardCopyOption.REPLACE_EXISTING);
        assertThat(damage())
                .isEqualTo("its index file belongs to another key, which differs in build (stored b0, now b1)");
        rebuild();
    }

    @Test
    @Timeout(value = 30, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void aPipeIsNotWaitedFor() throws Exception {
        for (Path file : List.of(index, object)) {
            Files.delete(file);
            Process pipe = new ProcessBuilder("mkfifo", file.toString()).inheritIO().start();
            assertThat(pipe.waitFor()).isZero();
            assertThat(damage()).endsWith("is not a regular file");
            ArtifactStore.open(directory, events::add);
            rebuild();
        }
    }

    /** The one kind of damage that no rename mends. */
    @Test
    void aDirectoryInPlaceOfAFileStaysAMiss() throws IOException {
        for (Path file : List.of(index, object)) {
            Files.delete(file);
            Files.createDirectory(file);
            assertThat(damage()).endsWith("is not a regular file");
            assertThat(ArtifactStore.open(directory, events::add).put(KEY, ARTIFACT)).isFalse();
            assertThat(events).singleElement().asString().contains(file.toString());
            events.clear();
            Files.delete(file);
            rebuild();
        }
    }
}
