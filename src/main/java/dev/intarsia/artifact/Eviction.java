package dev.intarsia.artifact;

import dev.intarsia.artifact.StoreFiles.Listed;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What keeps a store bounded, run when it is opened: entries that nobody read for a while go, then the ones read
 * longest ago until what is left fits; an object goes with the last entry that names it.
 *
 * <p>Another process may lose an entry that it is putting at this moment. It finds a miss later, never wrong bytes.
 *
 * @param unread entries not read for longer than this go
 * @param bytes  most bytes of entries and objects together
 */
record Eviction(Duration unread, long bytes) {
    /** 30 days, 8 GiB. */
    static final Eviction DEFAULT = new Eviction(Duration.ofDays(30), 8L << 30);

    /** A temporary file, or an object without an entry, older than this has no writer any more. */
    static final Duration ABANDONED = Duration.ofDays(1);

    /** A file of the index; {@code object} is null if it is damaged. */
    private record Entry(Listed file, String object) {}

    void run(StoreFiles files) throws IOException {
        Instant now = Instant.now();
        Instant abandoned = now.minus(ABANDONED);
        List<Entry> entries = new ArrayList<>();
        for (Listed file : withoutTemporaries(files.index(), abandoned)) {
            entries.add(new Entry(file, objectOf(file.path())));
        }
        Map<String, Integer> uses = uses(entries);
        Map<String, Listed> objects = new HashMap<>();
        for (Listed file : withoutTemporaries(files.objects(), abandoned)) {
            if (uses.containsKey(file.name()) || !file.used().isBefore(abandoned)) {
                objects.put(file.name(), file);
            } else if (Sha256.isOne(file.name())) {
                StoreFiles.deleteQuietly(file.path());
            }
        }
        evict(entries, objects, uses, now.minus(unread));
    }

    private void evict(
            List<Entry> entries, Map<String, Listed> objects, Map<String, Integer> uses, Instant oldest) {
        long total = entries.stream().mapToLong(entry -> entry.file().bytes()).sum()
                + objects.values().stream().mapToLong(Listed::bytes).sum();
        entries.sort(Comparator.comparing(entry -> entry.file().used()));
        for (Entry entry : entries) {
            if (total <= bytes && !entry.file().used().isBefore(oldest)) {
                return;
            }
            StoreFiles.deleteQuietly(entry.file().path());
            total -= entry.file().bytes();
            if (entry.object() != null && uses.merge(entry.object(), -1, Integer::sum) == 0) {
                Listed object = objects.remove(entry.object());
                if (object != null) {
                    StoreFiles.deleteQuietly(object.path());
                    total -= object.bytes();
                }
            }
        }
    }

    /** The files of a directory; temporary ones that nobody writes any more are removed. */
    private static List<Listed> withoutTemporaries(Path directory, Instant abandoned) throws IOException {
        List<Listed> files = new ArrayList<>();
        for (Listed file : StoreFiles.list(directory)) {
            if (!file.name().endsWith(StoreFiles.TEMPORARY)) {
                files.add(file);
            } else if (file.used().isBefore(abandoned)) {
                StoreFiles.deleteQuietly(file.path());
            }
        }
        return files;
    }

    /** How many entries name each object. */
    private static Map<String, Integer> uses(List<Entry> entries) {
        Map<String, Integer> uses = new HashMap<>();
        for (Entry entry : entries) {
            if (entry.object() != null) {
                uses.merge(entry.object(), 1, Integer::sum);
            }
        }
        return uses;
    }

    private static String objectOf(Path file) {
        try {
            return StoreFiles.readEntry(file).object();
        } catch (IOException | DamagedException e) {
            return null;
        }
    }
}
