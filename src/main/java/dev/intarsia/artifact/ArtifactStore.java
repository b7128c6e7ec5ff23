package dev.intarsia.artifact;

import dev.intarsia.artifact.Lookup.Cause;
import dev.intarsia.artifact.StoreFiles.Listed;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/**
 * Artifacts on disk, by key. Any number of threads, stores and processes may use one directory at the same time.
 *
 * <p>Nothing that the file system does is an exception here: what cannot be read is a miss, what cannot be written is a
 * put that returns false. Each kind of trouble is reported once, as one sentence, to whoever opened the store.
 *
 * <p>Opening a store tidies its directory: entries unread for 30 days go, then the ones read longest ago until the rest
 * fits 8 GiB, and files that a dead process left half written a day ago or earlier.
 */
public final class ArtifactStore {
    /** The system property that names the directory of {@link #openConfigured}, or is {@link #OFF}. */
    public static final String PROPERTY = "intarsia.artifacts";

    /** The value of {@link #PROPERTY} for no store. */
    public static final String OFF = "off";

    private final StoreFiles files;
    private final String unusable;
    private final Consumer<String> events;
    private final Set<String> reported = ConcurrentHashMap.newKeySet();

    /** Either {@code files} is null or {@code unusable}, the reason, is. */
    private ArtifactStore(StoreFiles files, String unusable, Consumer<String> events) {
        this.files = files;
        this.unusable = unusable;
        this.events = events;
    }

    /** A store that holds nothing and takes nothing. */
    public static ArtifactStore disabled() {
        return new ArtifactStore(null, "the artifact store is off", event -> {});
    }

    /** The store in a directory, which is made if it is not there; trouble is reported to nobody. */
    public static ArtifactStore open(Path directory) {
        return open(directory, event -> {});
    }

    /**
     * The store in a directory, which is made if it is not there. If it cannot be, the store is unusable, which is
     * reported.
     *
     * @param events told of trouble, one sentence each; called by threads that use the store
     */
    public static ArtifactStore open(Path directory, Consumer<String> events) {
        return open(directory, events, Eviction.DEFAULT);
    }

    static ArtifactStore open(Path directory, Consumer<String> events, Eviction eviction) {
        Objects.requireNonNull(events, "events");
        StoreFiles files;
        try {
            files = new StoreFiles(directory);
        } catch (IOException e) {
            return unusable("no artifacts are kept: " + directory + " cannot be used: " + e, events);
        }
        ArtifactStore store = new ArtifactStore(files, null, events);
        try {
            eviction.run(files);
        } catch (IOException e) {
            store.report("read", "artifacts in " + directory + " cannot be listed: " + e);
        }
        return store;
    }

    /**
     * The store that this process is configured to use: the directory in system property {@value #PROPERTY}, none if
     * that is {@value #OFF}, and without it {@link #defaultDirectory}.
     *
     * @param events as in {@link #open(Path, Consumer)}
     */
    public static ArtifactStore openConfigured(Consumer<String> events) {
        return openConfigured(System::getProperty, System::getenv, events);
    }

    static ArtifactStore openConfigured(
            UnaryOperator<String> property, UnaryOperator<String> environment, Consumer<String> events) {
        if (OFF.equals(property.apply(PROPERTY))) {
            return disabled();
        }
        StoreLocation location = StoreLocation.configured(property, environment);
        return location.directory()
                .map(directory -> open(directory, events))
                .orElseGet(() -> unusable("no artifacts are kept: " + location.reason(), events));
    }

    private static ArtifactStore unusable(String reason, Consumer<String> events) {
        events.accept(reason);
        return new ArtifactStore(null, reason, events);
    }

    /**
     * {@code $XDG_CACHE_HOME/intarsia/artifacts}, else {@code ~/.cache/intarsia/artifacts}; empty if neither parent is
     * an absolute path.
     */
    public static Optional<Path> defaultDirectory() {
        return StoreLocation.standard(System::getProperty, System::getenv).directory();
    }

    /** Whether there is a directory to look in; if not, every find is a miss and every put fails. */
    public boolean isUsable() {
        return files != null;
    }

    /** The artifact put last under an equal key, exactly as it was put, or why there is none. */
    public Lookup find(ArtifactKey key) {
        if (files == null) {
            return new Lookup.Miss(Cause.UNAVAILABLE, unusable);
        }
        Path file = files.indexFile(key);
        try {
            IndexEntry entry = StoreFiles.readEntry(file);
            if (!entry.key().equals(key)) {
                throw new DamagedException("its index file belongs to another key, which differs in "
                        + Explanation.differences(key, entry.key()));
            }
            byte[] bytes = files.readObject(entry);
            StoreFiles.touch(file);
            return new Lookup.Hit(bytes);
        } catch (NoSuchFileException e) {
            return new Lookup.Miss(Cause.ABSENT, "nothing is stored for " + key);
        } catch (DamagedException e) {
            return new Lookup.Miss(Cause.DAMAGED, e.getMessage());
        } catch (IOException e) {
            report("read", "artifact " + file + " cannot be read: " + e);
            return new Lookup.Miss(Cause.UNAVAILABLE, "its files cannot be read: " + e);
        }
    }

    /**
     * Keeps an artifact, in place of what was kept under an equal key. When this returns true, it is on
     * the disk.
     *
     * @param bytes not to be changed before this returns
     * @return whether it is kept; if not, what was kept before may still be there, whole
     */
    public boolean put(ArtifactKey key, byte[] bytes) {
        if (files == null) {
            return false;
        }
        String hash = Sha256.of(bytes);
        try {
            // the object first: an entry never names one that is not there yet
            StoreFiles.place(files.object(hash), bytes);
            StoreFiles.place(files.indexFile(key), new IndexEntry(key, hash, bytes.length).toBytes());
            return true;
        } catch (IOException e) {
            report("write", "artifacts cannot be written, so they are made again next time: " + e);
            return false;
        }
    }

    /**
     * Why a find of this key is what it is, for people: it is a hit; its entry is damaged, and how; nothing is stored
     * for its piece and range; or in which factors the nearest entry for them differs. Reads the whole index.
     *
     * @return one sentence without a full stop
     */
    public String explain(ArtifactKey key) {
        return switch (find(key)) {
            case Lookup.Hit(byte[] bytes) -> "stored, " + bytes.length + " bytes";
            case Lookup.Miss(Cause cause, String reason) -> switch (cause) {
                case ABSENT -> explainAbsence(key);
                case DAMAGED -> "damaged: " + reason;
                case UNAVAILABLE -> reason;
            };
        };
    }

    private String explainAbsence(ArtifactKey key) {
        try {
            return Explanation.ofAbsence(key, files);
        } catch (IOException e) {
            report("read", "the index of artifacts cannot be read: " + e);
            return "nothing is stored for " + key + "; the rest of the index cannot be read: " + e;
        }
    }

    /** Counts what is there, damaged entries aside; nothing if it cannot be read. Reads the whole index. */
    public StoreContents contents() {
        int entries = 0;
        long bytes = 0;
        Set<String> artifacts = new HashSet<>();
        try {
            for (Listed file : files == null ? Set.<Listed>of() : StoreFiles.list(files.index())) {
                try {
                    IndexEntry entry = StoreFiles.readEntry(file.path());
                    entries++;
                    bytes += artifacts.add(entry.object()) ? entry.length() : 0;
                } catch (IOException | DamagedException e) {
                    continue; // no entry, or none any more
                }
            }
        } catch (IOException e) {
            report("read", "the index of artifacts cannot be read: " + e);
        }
        return new StoreContents(entries, artifacts.size(), bytes);
    }

    private void report(String kind, String event) {
        if (reported.add(kind)) {
            events.accept(event);
        }
    }
}
