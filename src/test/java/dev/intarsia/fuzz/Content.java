package dev.intarsia.fuzz;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;

/** What stands under a name in the directory of an input. */
sealed interface Content {

    /** Puts it there. */
    void write(Path at) throws IOException;

    /** The file of a valid checkpoint, unchanged. */
    record Original(Path file) implements Content {
        @Override
        public void write(Path at) throws IOException {
            Files.createLink(at, file);
        }
    }

    /** A file of these bytes. */
    record Bytes(byte[] bytes) implements Content {
        @Override
        public void write(Path at) throws IOException {
            Files.write(at, bytes);
        }
    }

    /** A file of these bytes and then zeros up to a size, which takes no room on the disk. */
    record Sparse(byte[] head, long size) implements Content {
        @Override
        public void write(Path at) throws IOException {
            try (RandomAccessFile file = new RandomAccessFile(at.toFile(), "rw")) {
                file.write(head);
                file.setLength(size);
            }
        }
    }

    /** A symbolic link, to anything. */
    record Link(String target) implements Content {
        @Override
        public void write(Path at) throws IOException {
            Files.createSymbolicLink(at, Path.of(target));
        }
    }

    /** A directory with one file in it. */
    record Directory() implements Content {
        @Override
        public void write(Path at) throws IOException {
            Files.createDirectory(at);
            Files.createFile(at.resolve("inside"));
        }
    }
}
