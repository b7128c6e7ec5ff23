package dev.intarsia.artifact;

import java.util.Objects;

/** What {@link ArtifactStore#find} found. */
public sealed interface Lookup {

    /**
     * The artifact, as it was put.
     *
     * @param bytes the caller's to keep
     */
    record Hit(byte[] bytes) implements Lookup {
        public Hit {
            Objects.requireNonNull(bytes, "bytes");
        }

        @Override
        public String toString() {
            return "hit, " + bytes.length + " bytes";
        }
    }

    /**
     * No artifact.
     *
     * @param reason why, for people
     */
    record Miss(Cause cause, String reason) implements Lookup {
        public Miss {
            Objects.requireNonNull(cause, "cause");
            Objects.requireNonNull(reason, "reason");
        }

        @Override
        public String toString() {
            return "miss, " + reason;
        }
    }

    /** Kinds of misses. */
    enum Cause {
        /** Nothing is stored under the key. */
        ABSENT,
        /** Something is, and it is not what was put there; a new put replaces it. */
        DAMAGED,
        /** The store is off, or the file system did not let it read. */
        UNAVAILABLE
    }
}
