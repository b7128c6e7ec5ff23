package dev.intarsia.fuzz;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * One input of the fuzzer.
 *
 * @param index  tells it from the others of the same seed
 * @param target what is tried with it
 * @param origin the valid directory that it was made of
 * @param files  the directory, by name
 * @param edits  what was done to it, in order
 */
record Input(long index, Target target, String origin, Map<String, Content> files, List<String> edits) {

    /** What is tried with an input. */
    enum Target {
        /** The checkpoint is opened and every tensor looked at. */
        CHECKPOINT,
        /** An engine is opened, and asked for logits and tokens. */
        ENGINE,
        /** The tokenizer is opened, and encodes and decodes. */
        TOKENIZER
    }

    /** The directory under {@code work} that holds the input, named by its index: what ends the process stays there. */
    Path write(Path work) throws IOException {
        Path directory = Files.createDirectory(work.resolve(Long.toString(index)));
        for (Map.Entry<String, Content> file : files.entrySet()) {
            file.getValue().write(directory.resolve(file.getKey()));
        }
        return directory;
    }

    /** Deletes a file, or a directory and what is in it; follows no link. */
    static void delete(Path path) throws IOException {
        if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            try (DirectoryStream<Path> inside = Files.newDirectoryStream(path)) {
                for (Path each : inside) {
                    delete(each);
                }
            }
        }
        Files.delete(path);
    }

    @Override
    public String toString() {
        return "input " + index + " (" + target + " of " + origin + ": " + String.join("; ", edits) + ")";
    }
}
