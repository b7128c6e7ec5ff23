package dev.intarsia.artifact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.artifact.Lookup.Cause;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class ArtifactStoreTest {
    private static final ArtifactKey KEY = ArtifactKey.of("p1", "(1, 8)").with("build", "b1");

    private final List<String> events = new ArrayList<>();

    @TempDir
    private Path directory;

    private ArtifactStore open() {
        return ArtifactStore.open(directory, events::add);
    }

    private static byte[] found(ArtifactStore store, ArtifactKey key) {
        Lookup lookup = store.find(key);
        assertThat(lookup).isInstanceOf(Lookup.Hit.class);
        return ((Lookup.Hit) lookup).bytes();
    }

    private List<Path> files(String folder) throws IOException {
        try (Stream<Path> files = Files.list(directory.resolve(folder))) {
            return files.sorted().toList();
        }
    }

    @Test
    void whatWasPutIsFoundByAnyStoreOfTheDirectory() {
        ArtifactStore store = open();
        assertThat(store.find(KEY)).isInstanceOfSatisfying(Lookup.Miss.class, miss -> {
            assertThat(miss.cause()).isEqualTo(Cause.ABSENT);
            assertThat(miss.reason()).isEqualTo("nothing is stored for piece=p1, range=(1, 8), build=b1");
        });
        assertThat(store.put(KEY, new byte[] {1, 2, 3})).isTrue();
        assertThat(found(store, KEY)).containsExactly(1, 2, 3);
        assertThat(found(open(), KEY)).containsExactly(1, 2, 3);
        assertThat(store.put(KEY, new byte[] {4})).isTrue();
        assertThat(found(open(), KEY)).containsExactly(4);
        assertThat(store.put(KEY, new byte[0])).isTrue();
        assertThat(found(open(), KEY)).isEmpty();
        assertThat(events).isEmpty();
    }

    /** The files read by other means than the store's. */
    @Test
    void theIndexIsJsonBesideTheObjectUnderItsHash() throws Exception {
        byte[] artifact = {9, 8, 7};
        ArtifactKey key = KEY.with("cpu", "Zeichen \"ä\" \\ \n").with("threads", 8);
        open().put(key, artifact);
        String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(artifact));
        assertThat(files("objects")).containsExactly(directory.resolve("objects").resolve(hash));
        assertThat(directory.resolve("objects").resolve(hash)).hasBinaryContent(artifact);
        assertThat(files("index")).containsExactly(directory.resolve("index").resolve(key.hash()));
        JsonNode entry = new ObjectMapper().readTree(Files.readAllBytes(files("index").getFirst()));
        assertThat(entry.propertyNames()).containsExactly("format", "factors", "object", "length", "checksum");
        assertThat(entry.get("factors").propertyNames()).containsExactly("piece", "range", "build", "cpu", "threads");
        assertThat(entry.get("factors").get("cpu").stringValue()).isEqualTo("Zeichen \"ä\" \\ \n");
        assertThat(entry.get("object").stringValue()).isEqualTo(hash);
        assertThat(entry.get("length").intValue()).isEqualTo(3);
        assertThat(found(open(), key)).isEqualTo(artifact);
    }

    @Test
    void equalBytesAreStoredOnceWhateverTheirPieces() throws IOException {
        ArtifactStore store = open();
        byte[] artifact = new byte[1000];
        ArtifactKey other = KEY.with("piece", "p2");
        store.put(KEY, artifact);
        store.put(other, artifact.clone());
        store.put(KEY.with("range", "(9, 64)"), new byte[10]);
        assertThat(files("index")).hasSize(3);
        assertThat(files("objects")).hasSize(2);
        assertThat(store.contents()).isEqualTo(new StoreContents(3, 2, 1010));
        // changing one leaves the other what it was
        store.put(KEY, new byte[] {5});
        assertThat(found(store, other)).isEqualTo(artifact);
        assertThat(found(store, KEY)).containsExactly(5);
    }

    @Test
    void puttingTheSameAgainWritesNothing() throws IOException {
        ArtifactStore store = open();
        store.put(KEY, new byte[50]);
        List<Object> before = inodes();
        assertThat(open().put(KEY, new byte[50])).isTrue();
        assertThat(inodes()).isEqualTo(before);
        store.put(KEY, new byte[51]);
        assertThat(inodes()).isNotEqualTo(before);
    }

    private List<Object> inodes() throws IOException {
        List<Object> inodes = new ArrayList<>();
        for (String folder : List.of("index", "objects")) {
            for (Path file : files(folder)) {
                inodes.add(Files.readAttributes(file, "unix:ino,lastModifiedTime"));
            }
        }
        return inodes;
    }

    @Test
    void aStoreThatIsOffHoldsNothing() {
        ArtifactStore store = ArtifactStore.disabled();
        assertThat(store.isUsable()).isFalse();
        assertThat(store.put(KEY, new byte[1])).isFalse();
        assertThat(store.find(KEY)).isEqualTo(new Lookup.Miss(Cause.UNAVAILABLE, "the artifact store is off"));
        assertThat(store.explain(KEY)).isEqualTo("the artifact store is off");
        assertThat(store.contents()).isEqualTo(new StoreContents(0, 0, 0));
    }

    /** Threads that put and find, and one that evicts everything all the time: finds are whole or misses. */
    @Test
    void threadsShareAStore() throws Exception {
        ArtifactStore store = open();
        int threads = 4;
        int hits = 0;
        try (ExecutorService pool = Executors.newFixedThreadPool(threads + 1)) {
            List<Future<Integer>> users = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                Random random = new Random(thread);
                users.add(pool.submit(() -> use(store, random)));
            }
            Future<?> evictor = pool.submit(() -> {
                while (users.stream().anyMatch(user -> !user.isDone())) {
                    ArtifactStore.open(directory, events::add, new Eviction(Duration.ofDays(1), 0));
                }
            });
            for (Future<Integer> user : users) {
                hits += user.get();
            }
            evictor.get();
        }
        assertThat(hits).isPositive();
        assertThat(events).isEmpty();
        assertThat(store.put(KEY, new byte[7])).isTrue();
        assertThat(found(store, KEY)).hasSize(7);
    }

    private static int use(ArtifactStore store, Random random) {
        int hits = 0;
        for (int i = 0; i < 100; i++) {
            int number = random.nextInt(StoreChild.KEYS);
            assertThat(store.put(StoreChild.key(number), StoreChild.content(number, random.nextInt(3)))).isTrue();
            switch (store.find(StoreChild.key(number))) {
                case Lookup.Hit(byte[] bytes) -> {
                    assertThat(StoreChild.isContent(number, bytes)).isTrue();
                    hits++;
                }
                // evicted, or its object was between the two puts
                case Lookup.Miss(Cause cause, String reason) -> assertThat(reason)
                        .containsAnyOf("nothing is stored", "its object is gone");
            }
        }
        return hits;
    }
}
