package dev.intarsia.runtime;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * A library's bytes as a file {@code DIRECTORY/SHA-256/NAME}. A reader sees all of the file or none of it, whatever
 * number of processes extract it at the same time, and whenever one of them dies.
 */
final class LibraryCache {
    private final byte[] content;
    private final String name;
    private final String hash;

    LibraryCache(byte[] content, String name) {
        this.content = content;
        this.name = name;
        this.hash = sha256(content);
    }

    /** The file that {@link #place} makes. */
    Path file(Path directory) {
        return directory.resolve(hash).resolve(name);
    }

    /**
     * Makes sure that the file is there and is whole.
     *
     * @param directory made with its parents if it is not there
     * @return the file
     * @throws IOException if the directory or its disk takes no file
     */
    Path place(Path directory) throws IOException {
        Path file = file(directory);
        if (!isWhole(file)) {
            Files.createDirectories(file.getParent());
            write(file);
        }
        return file;
    }

    /** Removes a directory that only {@link #place} has written to, as far as it can be removed. */
    void remove(Path directory) {
        try {
            Files.deleteIfExists(file(directory));
            Files.deleteIfExists(file(directory).getParent());
            Files.deleteIfExists(directory);
        } catch (IOException e) {
            // what is left does no harm
        }
    }

    private boolean isWhole(Path file) {
        try {
            return Files.isRegularFile(file)
                    && Files.size(file) == content.length
                    && Arrays.equals(Files.readAllBytes(file), content);
        } catch (IOException e) {
            return false; // if it cannot be read, it must be written anew
        }
    }

    /** Under another name first, then renamed: whoever has the old file mapped keeps it. */
    private void write(Path file) throws IOException {
        Path temporary = Files.createTempFile(file.getParent(), name, ".tmp");
        try {
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
                ByteBuffer rest = ByteBuffer.wrap(content);
                while (rest.hasRemaining()) {
                    channel.write(rest);
                }
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }
}
