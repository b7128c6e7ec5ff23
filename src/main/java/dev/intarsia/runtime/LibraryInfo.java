package dev.intarsia.runtime;

import java.nio.file.Path;

/**
 * The native library of this process.
 *
 * @param path    the file that was loaded; a copy in a temporary directory is gone by now
 * @param source  how it was found
 * @param version such as "0.1.0"
 * @param buildId hash over the sources and flags it was built from: it changes with whatever may change its results
 */
public record LibraryInfo(Path path, LibrarySource source, String version, String buildId) {}
