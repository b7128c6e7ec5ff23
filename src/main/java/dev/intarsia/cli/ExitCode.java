package dev.intarsia.cli;

/** What the process ends with. */
final class ExitCode {
    /** Done. */
    static final int OK = 0;
    /** The checkpoint, the native library or the engine failed, or standard output cannot be written to. */
    static final int FAILURE = 1;
    /** The command line is wrong: an option, its bounds, the prompt. */
    static final int USAGE = 2;
    /** Ctrl-C: 128 + SIGINT, what shells expect. */
    static final int INTERRUPTED = 130;

    private ExitCode() {}
}
