package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibraryCacheTest {
    private static final byte[] CONTENT = content();

    private final LibraryCache cache = new LibraryCache(CONTENT, "libintarsia.so");

    @TempDir
    private Path directory;

    @Test
    void theFileLiesUnderTheHashOfItsContent() throws Exception {
        String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(CONTENT));
        Path parent = directory.resolve("a/b");
        assertThat(cache.place(parent))
                .isEqualTo(parent.resolve(hash).resolve("libintarsia.so"))
                .hasBinaryContent(CONTENT);
        assertThat(files()).hasSize(1);
    }

    @Test
    void aWholeFileIsLeftAlone() throws IOException {
        Path file = cache.place(directory);
        Object before = Files.readAttributes(file, "unix:ino,lastModifiedTime");
        assertThat(cache.place(directory)).isEqualTo(file);
        assertThat(Files.readAttributes(file, "unix:ino,lastModifiedTime")).isEqualTo(before);
    }

    @Test
    void aTruncatedFileIsReplaced() throws IOException {
        Path file = cache.place(directory);
        Files.write(file, new byte[100]);
        assertThat(cache.place(directory)).isEqualTo(file).hasBinaryContent(CONTENT);
        assertThat(files()).hasSize(1);
    }

    @Test
    void aFileOfTheRightLengthWithAFlippedBitIsReplacedAndWhoeverHasItOpenKeepsIt() throws IOException {
        Path file = cache.place(directory);
        byte[] damaged = CONTENT.clone();
        damaged[damaged.length - 1] ^= 1;
        Files.write(file, damaged);
        try (FileChannel open = FileChannel.open(file)) {
            assertThat(cache.place(directory)).hasBinaryContent(CONTENT);
            ByteBuffer seen = ByteBuffer.allocate(damaged.length);
            while (seen.hasRemaining() && open.read(seen) >= 0) {
                continue;
            }
            assertThat(seen.array()).isEqualTo(damaged);
        }
    }

    @Test
    void manyAtOnceMakeOneFileAndNobodySeesAPartOfIt() throws Exception {
        Path file = cache.file(directory);
        AtomicBoolean done = new AtomicBoolean();
        int writers = 8;
        CountDownLatch start = new CountDownLatch(writers + 1);
        try (ExecutorService pool = Executors.newFixedThreadPool(writers + 1)) {
            Future<Boolean> watcher = pool.submit(() -> {
                start.countDown();
                start.await();
                boolean onlyWhole = true;
                while (!done.get()) {
                    try {
                        onlyWhole &= Arrays.equals(Files.readAllBytes(file), CONTENT);
                    } catch (NoSuchFileException e) {
                        Thread.onSpinWait(); // not yet there
                    }
                }
                return onlyWhole;
            });
            List<Future<Path>> placed = new ArrayList<>();
            for (int i = 0; i < writers; i++) {
                placed.add(pool.submit(() -> {
                    start.countDown();
                    start.await();
                    return new LibraryCache(CONTENT, "libintarsia.so").place(directory);
                }));
            }
            try {
                for (Future<Path> path : placed) {
                    assertThat(path.get()).isEqualTo(file);
                }
            } finally {
                done.set(true);
            }
            assertThat(watcher.get()).as("the watcher saw nothing but whole files").isTrue();
        }
        assertThat(files()).containsExactly(file);
        assertThat(file).hasBinaryContent(CONTENT);
    }

    @Test
    void whatCannotBeReplacedIsAnErrorThatLeavesNothingBehind() throws IOException {
        Path file = cache.file(directory);
        Files.createDirectories(file.resolve("in the way"));
        assertThatIOException().isThrownBy(() -> cache.place(directory)).withMessageContaining(file.toString());
        assertThat(files()).isEmpty();
    }

    @Test
    void aFileForADirectoryIsAnError() throws IOException {
        Path file = Files.createFile(directory.resolve("file"));
        assertThatIOException()
                .isThrownBy(() -> cache.place(file.resolve("intarsia")))
                .withMessageContaining(file.toString());
    }

    @Test
    void removeLeavesNothing() throws IOException {
        Path own = Files.createDirectory(directory.resolve("own"));
        cache.place(own);
        cache.remove(own);
        assertThat(own).doesNotExist();
        cache.remove(own);
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> tree = Files.walk(directory)) {
            return tree.filter(Files::isRegularFile).toList();
        }
    }

    private static byte[] content() {
        byte[] content = new byte[1 << 20];
        new Random(1).nextBytes(content);
        return content;
    }
}
