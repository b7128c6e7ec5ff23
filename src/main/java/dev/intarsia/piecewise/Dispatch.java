package dev.intarsia.piecewise;

/**
 * How a step is to run: the {@link Dispatcher}'s answer. Immutable and shared between steps.
 *
 * @param tokens tokens in the step, without padding
 * @param mode   how it runs
 * @param batch  the recording's key; in mode NONE the step itself, unpadded
 * @param reason why
 */
public record Dispatch(int tokens, RuntimeMode mode, BatchDescriptor batch, Reason reason) {

    /** Why a step runs as it does. */
    public enum Reason {
        /** A recording of exactly this size is replayed. */
        EXACT_SIZE("its size is captured"),
        /** A recording of the next larger size is replayed. */
        PADDED("padded to the next captured size"),
        /** Not replayed: the graph mode is NONE. */
        GRAPHS_OFF("the graph mode is NONE"),
        /** Not replayed: start-up has not captured anything yet. */
        NOTHING_CAPTURED("nothing is captured yet"),
        /** Not replayed: more tokens than the largest captured size. */
        TOO_LARGE("larger than every captured size"),
        /** Not replayed: the caller allows mode NONE only. */
        ONLY_NONE_ALLOWED("only NONE is allowed"),
        /** Not replayed: no captured graph serves such a batch. */
        NO_MATCHING_GRAPH("no captured graph serves such a batch");

        private final String text;

        Reason(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    static Dispatch replay(int tokens, RuntimeMode mode, BatchDescriptor batch) {
        return new Dispatch(tokens, mode, batch, batch.tokens() == tokens ? Reason.EXACT_SIZE : Reason.PADDED);
    }

    static Dispatch none(int tokens, Reason reason) {
        return new Dispatch(tokens, RuntimeMode.NONE, BatchDescriptor.of(tokens), reason);
    }

    /** Tokens to run, padding included. */
    public int paddedTokens() {
        return batch.tokens();
    }

    @Override
    public String toString() {
        return tokens + " tokens → " + mode + " (" + batch + "): " + reason;
    }
}
