package dev.intarsia.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The arguments of this process as UTF-8. In a locale of another encoding, such as the POSIX one of a bare container,
 * the JVM decodes them with that and loses what does not fit; Linux still has the bytes.
 */
final class RawArguments {
    private static final Path COMMAND_LINE = Path.of("/proc/self/cmdline");

    private RawArguments() {}

    /** The arguments that the JVM gave to {@code main}, decoded again where it could not. */
    static String[] decode(String[] arguments) {
        if ("UTF-8".equals(System.getProperty("sun.jnu.encoding")) || isAscii(arguments)) {
            return arguments;
        }
        try {
            return decode(arguments, Files.readAllBytes(COMMAND_LINE));
        } catch (IOException e) {
            return arguments; // no Linux
        }
    }

    /**
     * @param arguments   as the JVM decoded them
     * @param commandLine of the process: zero-terminated strings, of which the arguments are the last
     */
    static String[] decode(String[] arguments, byte[] commandLine) {
        String[] all = new String(commandLine, StandardCharsets.UTF_8).split("\0", -1);
        int end = all.length - 1; // behind the last zero there is nothing
        if (end < arguments.length) {
            return arguments;
        }
        String[] raw = Arrays.copyOfRange(all, end - arguments.length, end);
        for (int i = 0; i < raw.length; i++) {
            if (isAscii(raw[i]) && !raw[i].equals(arguments[i])) {
                return arguments; // these are others
            }
        }
        return raw;
    }

    private static boolean isAscii(String... texts) {
        return Arrays.stream(texts).flatMapToInt(String::chars).allMatch(c -> c < 0x80);
    }
}
