package dev.intarsia.artifact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.artifact.Lookup.Cause;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Processes that share a directory, and processes that die while they write to it. */
class ManyProcessesTest {
    private static final int KILLS = 8;
    private static final int PROCESSES = 8;

    private final List<String> events = new ArrayList<>();

    @TempDir
    private Path directory;

    @Test
    void aWriterKilledAtAnyMomentLeavesWholeEntriesOrNone() throws Exception {
        Random random = new Random(11);
        int hits = 0;
        for (int round = 0; round < KILLS; round++) {
            Process child = StoreChild.start(StoreChild.command("write", directory.toString(), "" + round));
            try (BufferedReader output = child.inputReader(StandardCharsets.UTF_8)) {
                assertThat(output.readLine()).isEqualTo("writing");
                Thread.sleep(random.nextInt(60));
                child.toHandle().destroyForcibly(); // leaves what it printed to be read
                assertThat(output.readLine()).as("the writer did nothing but write").isNull();
            } finally {
                child.destroyForcibly().waitFor();
            }
            ArtifactStore store = ArtifactStore.open(directory, events::add);
            for (int number = 0; number < StoreChild.KEYS; number++) {
                switch (store.find(StoreChild.key(number))) {
                    case Lookup.Hit(byte[] bytes) -> {
                        assertThat(StoreChild.isContent(number, bytes)).isTrue();
                        hits++;
                    }
                    case Lookup.Miss(Cause cause, String reason) ->
                        assertThat(cause).as(reason).isEqualTo(Cause.ABSENT);
                }
            }
            byte[] own = StoreChild.content(0, round);
            assertThat(store.put(StoreChild.key(0), own)).isTrue();
            assertThat(store.find(StoreChild.key(0))).hasToString("hit, " + own.length + " bytes");
        }
        assertThat(hits).as("the writers got to write").isPositive();
        assertThat(events).isEmpty();
        whatTheDeadLeftIsSweptWhenItIsADayOld();
    }

    private void whatTheDeadLeftIsSweptWhenItIsADayOld() throws IOException {
        Files.write(directory.resolve("objects").resolve("half.tmp"), new byte[3]);
        Files.write(directory.resolve("index").resolve("half.tmp"), new byte[3]);
        List<Path> left = temporaries();
        ArtifactStore.open(directory);
        assertThat(temporaries()).as("they may have a writer yet").isEqualTo(left);
        for (Path file : left) {
            Files.setLastModifiedTime(file, FileTime.from(Instant.now().minusSeconds(25 * 60 * 60)));
        }
        ArtifactStore.open(directory);
        assertThat(temporaries()).isEmpty();
    }

    private List<Path> temporaries() throws IOException {
        try (Stream<Path> files = Files.walk(directory)) {
            return files.filter(file -> file.toString().endsWith(".tmp")).sorted().toList();
        }
    }

    @Test
    void manyPutAndFindInOneDirectory() throws Exception {
        List<Process> children = new ArrayList<>();
        try {
            for (int i = 0; i < PROCESSES; i++) {
                children.add(StoreChild.start(StoreChild.command("share", directory.toString(), "" + i)));
            }
            for (Process child : children) {
                String output = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                assertThat(child.waitFor(60, TimeUnit.SECONDS)).isTrue();
                assertThat(output).matches("[1-9]\\d* hits\\R");
                assertThat(child.exitValue()).isZero();
            }
        } finally {
            children.forEach(Process::destroyForcibly);
        }
        assertThat(temporaries()).isEmpty();
        ArtifactStore store = ArtifactStore.open(directory);
        for (int number = 0; number < StoreChild.KEYS; number++) {
            Lookup found = store.find(StoreChild.key(number));
            assertThat(found).isInstanceOf(Lookup.Hit.class);
            assertThat(StoreChild.isContent(number, ((Lookup.Hit) found).bytes())).isTrue();
        }
        assertThat(store.contents().entries()).isEqualTo(StoreChild.KEYS);
    }
}
