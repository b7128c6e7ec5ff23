package dev.intarsia.runtime;

/** Where the path of the native library comes from, in the order in which they are asked. */
public enum LibrarySource {
    /** The system property {@code intarsia.library}. */
    PROPERTY("system property intarsia.library"),
    /** The environment variable {@code INTARSIA_LIBRARY}. */
    ENVIRONMENT("environment variable INTARSIA_LIBRARY"),
    /** A resource of the class path, extracted into a cache directory. */
    PACKAGED("packaged library");

    private final String text;

    LibrarySource(String text) {
        this.text = text;
    }

    /** In words, for messages. */
    @Override
    public String toString() {
        return text;
    }
}
