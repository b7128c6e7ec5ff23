package dev.intarsia.artifact;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The two directories of a store: whole files in, checked files out. A file's modification time is when it was last
 * used, to within {@link #TOUCHED_AFTER}.
 */
final class StoreFiles {
    /** Ends names of files that are being written, or whose writer died. */
    static final String TEMPORARY = ".tmp";

    /** A hit writes a time stamp at most this often. */
    static final Duration TOUCHED_AFTER = Duration.ofHours(1);

    private final Path index;
    private final Path objects;

    /** Makes the directories where they are not there. */
    StoreFiles(Path directory) throws IOException {
        index = Files.createDirectories(directory.resolve("index"));
        objects = Files.createDirectories(directory.resolve("objects"));
    }

    Path index() {
        return index;
    }

    Path objects() {
        return objects;
    }

    Path indexFile(ArtifactKey key) {
        return index.resolve(key.hash());
    }

    Path object(String hash) {
        return objects.resolve(hash);
    }

    /**
     * The entry in an index file.
     *
     * @throws NoSuchFileException if there is no file
     */
    static IndexEntry readEntry(Path file) throws IOException, DamagedException {
        if (!Files.readAttributes(file, BasicFileAttributes.class).isRegularFile()) {
            throw new DamagedException("its index file is not a regular file"); // reading a pipe would wait forever
        }
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = in.readNBytes(IndexEntry.MAX_BYTES + 1);
            if (bytes.length > IndexEntry.MAX_BYTES) {
                throw new DamagedException("its index file is larger than " + IndexEntry.MAX_BYTES + " bytes");
            }
            return IndexEntry.parse(bytes);
        }
    }

    /** The object of an entry, every byte of it checked. */
    byte[] readObject(IndexEntry entry) throws IOException, DamagedException {
        Path file = object(entry.object());
        try {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            if (!attributes.isRegularFile()) {
                throw new DamagedException("its object is not a regular file");
            }
            if (attributes.size() != entry.length()) {
                throw new DamagedException("its object has " + attributes.size() + " bytes, not " + entry.length());
            }
            byte[] bytes = Files.readAllBytes(file);
            if (!Sha256.of(bytes).equals(entry.object())) {
                throw new DamagedException("its object does not match its checksum");
            }
            return bytes;
        } catch (NoSuchFileException e) {
            throw new DamagedException("its object is gone", e);
        }
    }

    /**
     * Makes the file hold these bytes, and counts as use. Whoever reads meanwhile sees the old file or the new one,
     * whole, and so does whoever reads after this process or the machine stopped at any moment. A file that holds them
     * already is left alone.
     */
    static void place(Path file, byte[] content) throws IOException {
        if (holds(file, content)) {
            touch(file);
        } else {
            Path temporary = file.resolveSibling(file.getFileName() + "."
                    + Long.toHexString(ThreadLocalRandom.current().nextLong()) + TEMPORARY);
            try {
                write(temporary, content);
                Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } catch (IOException | RuntimeException e) {
                deleteQuietly(temporary);
                throw e;
            }
            syncDirectory(file.getParent());
        }
    }

    private static boolean holds(Path file, byte[] content) {
        try {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            return attributes.isRegularFile()
                    && attributes.size() == content.length
                    && Arrays.equals(Files.readAllBytes(file), content);
        } catch (IOException e) {
            return false; // if it cannot be read, it must be written anew
        }
    }

    private static void write(Path file, byte[] content) throws IOException {
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            ByteBuffer rest = ByteBuffer.wrap(content);
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
            channel.force(true);
        }
    }

    /** Makes a rename last. File systems that cannot do it lose at most an entry, and only with the machine. */
    private static void syncDirectory(Path directory) {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            // the file is whole and in its place
        }
    }

    /** Notes that a file was used, if that was not noted lately; of no consequence where it cannot be noted. */
    static void touch(Path file) {
        try {
            Instant now = Instant.now();
            if (Files.getLastModifiedTime(file).toInstant().isBefore(now.minus(TOUCHED_AFTER))) {
                Files.setLastModifiedTime(file, FileTime.from(now));
            }
        } catch (IOException e) {
            // read-only, or evicted a moment ago
        }
    }

    static void deleteQuietly(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            // what cannot be removed stays
        }
    }

    /** A file as a directory lists it. */
    record Listed(Path path, Instant used, long bytes) {
        String name() {
            return path.getFileName().toString();
        }
    }

    /** The regular files of a directory, less those that go while it is read. */
    static List<Listed> list(Path directory) throws IOException {
        List<Listed> files = new ArrayList<>();
        try (DirectoryStream<Path> paths = Files.newDirectoryStream(directory)) {
            for (Path path : paths) {
                try {
                    BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
                    if (attributes.isRegularFile()) {
                        files.add(new Listed(path, attributes.lastModifiedTime().toInstant(), attributes.size()));
                    }
                } catch (NoSuchFileException e) {
                    continue; // renamed or evicted
                }
            }
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        return files;
    }
}
