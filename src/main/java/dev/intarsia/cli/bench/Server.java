package dev.intarsia.cli.bench;

import java.util.List;

/** What a load is put on. Any number of virtual threads use it at once. */
public interface Server extends AutoCloseable {

    /** Told of tokens as they arrive. */
    @FunctionalInterface
    interface Listener {
        void token();
    }

    /** For people. */
    String name();

    /** Token ids are drawn from 0 .. this - 1. */
    int vocabulary();

    /**
     * Continues a prompt and waits for the end.
     *
     * @param outputTokens of the answer, whose end is not to come earlier
     * @return the number of tokens of the answer, where that is not the number of calls of the listener
     * @throws Exception whatever went wrong with this request
     */
    int complete(List<Integer> prompt, int outputTokens, Listener listener) throws Exception;

    @Override
    void close();
}
