package dev.intarsia.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.function.UnaryOperator;

/**
 * What a command sees of the process it runs in, so that tests can put something else in its place.
 *
 * @param in           standard input, bytes
 * @param out          standard output
 * @param err          standard error
 * @param environment  environment variables, null for one that is not set
 * @param property     system properties, likewise
 * @param interruption Ctrl-C
 */
record Host(
        InputStream in,
        Output out,
        PrintWriter err,
        UnaryOperator<String> environment,
        UnaryOperator<String> property,
        Interruption interruption) {

    /** This process; signals arrive at its {@link Interruption} from now on. */
    static Host process() {
        Interruption interruption = new Interruption();
        interruption.install();
        return new Host(
                System.in,
                new Output(new FileOutputStream(FileDescriptor.out)),
                new PrintWriter(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8),
                System::getenv,
                System::getProperty,
                interruption);
    }

    /** Whether a variable or property has a value worth the name. */
    static boolean isSet(String value) {
        return value != null && !value.isBlank();
    }
}
