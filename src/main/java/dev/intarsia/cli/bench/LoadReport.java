package dev.intarsia.cli.bench;

import java.util.Optional;

/**
 * How a server bore a load.
 *
 * @param server       its name
 * @param finished     requests that were answered to the end
 * @param failed       requests that were not
 * @param firstFailure what went wrong with the first of them
 * @param seconds      from the first arrival to the last end
 * @param promptTokens of the requests that finished
 * @param outputTokens of the requests that finished
 * @param firstToken   seconds from a request's arrival to its first token
 * @param interToken   seconds from token to token, all requests together
 * @param whole        seconds from a request's arrival to its end
 */
public record LoadReport(
        String server,
        int finished,
        int failed,
        Optional<String> firstFailure,
        double seconds,
        long promptTokens,
        long outputTokens,
        Samples firstToken,
        Samples interToken,
        Samples whole) {

    /** Tokens of answers per second. */
    public double outputRate() {
        return outputTokens / seconds;
    }

    /** Tokens of prompts and answers per second. */
    public double totalRate() {
        return (promptTokens + outputTokens) / seconds;
    }

    public double requestRate() {
        return finished / seconds;
    }
}
