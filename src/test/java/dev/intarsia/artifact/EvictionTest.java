package dev.intarsia.artifact;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvictionTest {
    private static final long LARGE = 1L << 40;

    @TempDir
    private Path directory;

    private ArtifactStore store;

    @BeforeEach
    void open() {
        store = ArtifactStore.open(directory);
    }

    private static ArtifactKey key(int number) {
        return ArtifactKey.of("p" + number, "(1, 8)");
    }

    private Path index(int number) {
        return directory.resolve("index").resolve(key(number).hash());
    }

    private void put(int number, byte[] artifact, int daysAgo) throws IOException {
        assertThat(store.put(key(number), artifact)).isTrue();
        age(index(number), daysAgo);
        age(directory.resolve("objects").resolve(Sha256.of(artifact)), daysAgo);
    }

    private static void age(Path file, int daysAgo) throws IOException {
        Files.setLastModifiedTime(file, FileTime.from(Instant.now().minus(Duration.ofDays(daysAgo))));
    }

    private void evict(int days, long bytes) {
        store = ArtifactStore.open(directory, event -> {}, new Eviction(Duration.ofDays(days), bytes));
    }

    private List<Integer> stored() {
        return IntStream.range(0, 6)
                .filter(number -> store.find(key(number)) instanceof Lookup.Hit)
                .boxed()
                .toList();
    }

    private long files(String folder) throws IOException {
        try (Stream<Path> files = Files.list(directory.resolve(folder))) {
            return files.count();
        }
    }

    private long bytes() throws IOException {
        long bytes = 0;
        for (String folder : List.of("index", "objects")) {
            try (Stream<Path> files = Files.list(directory.resolve(folder))) {
                bytes += files.mapToLong(file -> file.toFile().length()).sum();
            }
        }
        return bytes;
    }

    @Test
    void entriesUnreadForLongGo() throws IOException {
        for (int number = 0; number < 4; number++) {
            put(number, new byte[100 + number], 10 * number);
        }
        evict(15, LARGE);
        assertThat(stored()).containsExactly(0, 1);
        assertThat(files("objects")).isEqualTo(2);
    }

    @Test
    void aReadKeepsAnEntry() throws IOException {
        put(0, new byte[100], 20);
        put(1, new byte[101], 20);
        assertThat(store.find(key(1))).isInstanceOf(Lookup.Hit.class);
        evict(15, LARGE);
        assertThat(stored()).containsExactly(1);
    }

    @Test
    void aSecondReadWithinTheHourWritesNothing() throws IOException {
        put(0, new byte[100], 0);
        FileTime before = FileTime.from(Instant.now().minusSeconds(600));
        Files.setLastModifiedTime(index(0), before);
        assertThat(store.find(key(0))).isInstanceOf(Lookup.Hit.class);
        assertThat(Files.getLastModifiedTime(index(0)).toMillis()).isEqualTo(before.toMillis());
    }

    @Test
    void beyondTheBudgetTheOldestGo() throws IOException {
        for (int number = 0; number < 5; number++) {
            put(number, new byte[10_000 + number], 5 - number);
        }
        long all = bytes();
        evict(100, all);
        assertThat(stored()).hasSize(5);
        put(0, new byte[10_000], 5);
        evict(100, all - 1);
        assertThat(stored()).containsExactly(1, 2, 3, 4);
        for (int number = 1; number < 5; number++) {
            age(index(number), 5 - number);
        }
        evict(100, all / 2);
        assertThat(stored()).containsExactly(3, 4);
        assertThat(bytes()).isLessThanOrEqualTo(all / 2);
        evict(100, 0);
        assertThat(stored()).isEmpty();
        assertThat(bytes()).isZero();
    }

    @Test
    void anObjectStaysAsLongAsOneEntryNamesIt() throws IOException {
        put(0, new byte[100], 20);
        put(1, new byte[100], 5);
        age(directory.resolve("objects").resolve(Sha256.of(new byte[100])), 20);
        evict(15, LARGE);
        assertThat(stored()).containsExactly(1);
        assertThat(files("objects")).isEqualTo(1);
        evict(1, LARGE);
        age(index(1), 5);
        evict(1, LARGE);
        assertThat(files("objects")).isZero();
    }

    @Test
    void objectsWithoutEntriesGoWhenNobodyCanBePuttingThem() throws IOException {
        put(0, new byte[100], 2);
        put(1, new byte[101], 0);
        Files.delete(index(0));
        Files.delete(index(1));
        evict(100, LARGE);
        assertThat(directory.resolve("objects").resolve(Sha256.of(new byte[100]))).doesNotExist();
        assertThat(directory.resolve("objects").resolve(Sha256.of(new byte[101]))).exists();
    }

    /** Someone is about to write the entry: the object counts as used now. */
    @Test
    void puttingAnOldObjectAgainMakesItYoung() throws IOException {
        put(0, new byte[100], 2);
        put(1, new byte[100], 0);
        age(directory.resolve("objects").resolve(Sha256.of(new byte[100])), 2);
        store.put(key(2), new byte[100]);
        for (int number = 0; number < 3; number++) {
            Files.delete(index(number));
        }
        evict(100, LARGE);
        assertThat(files("objects")).isEqualTo(1);
    }

    @Test
    void damagedEntriesGrowOldLikeAnyOther() throws IOException {
        put(0, new byte[100], 0);
        Files.write(index(0), new byte[5]);
        age(index(0), 20);
        Files.write(index(1), new byte[5]);
        evict(15, LARGE);
        assertThat(index(0)).doesNotExist();
        assertThat(index(1)).exists();
    }

    @Test
    void leavesAloneWhatTheStoreDidNotWrite() throws IOException {
        Path note = Files.writeString(directory.resolve("objects").resolve("README"), "mine");
        Path other = Files.writeString(directory.resolve("README"), "mine");
        age(note, 1000);
        age(other, 1000);
        evict(1, 0);
        assertThat(note).exists();
        assertThat(other).exists();
    }
}
