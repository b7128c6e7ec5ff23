package dev.intarsia.piecewise;

/**
 * What a recording is for; also its key.
 *
 * @param tokens   number of tokens, padding included
 * @param requests number of requests, padding included; {@link #ANY_REQUESTS} if the recording does not depend on it
 * @param uniform  whether every request has the same number of tokens
 */
public record BatchDescriptor(int tokens, int requests, boolean uniform) {
    /** No particular number of requests. */
    public static final int ANY_REQUESTS = -1;

    /** @throws IllegalArgumentException if a number is negative; {@code requests} may be {@link #ANY_REQUESTS} */
    public BatchDescriptor {
        if (tokens < 0) {
            throw new IllegalArgumentException("tokens must be >= 0, was " + tokens);
        }
        if (requests < ANY_REQUESTS) {
            throw new IllegalArgumentException("requests must be >= 0 or ANY_REQUESTS, was " + requests);
        }
    }

    /** Any batch of so many tokens. */
    public static BatchDescriptor of(int tokens) {
        return new BatchDescriptor(tokens, ANY_REQUESTS, false);
    }

    /** Spreads small tokens and requests; without allocating. */
    @Override
    public int hashCode() {
        return (tokens * 31 + requests) * 2 + (uniform ? 1 : 0);
    }

    @Override
    public String toString() {
        return tokens + " tokens"
                + (requests == ANY_REQUESTS ? "" : ", " + requests + " requests")
                + (uniform ? ", uniform" : "");
    }
}
