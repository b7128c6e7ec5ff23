package dev.intarsia.cli;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Runs the command line inside this JVM, with streams and an environment of its own. */
final class Shell {
    final Interruption interruption = new Interruption();
    private final Map<String, String> environment = new HashMap<>();
    private final Map<String, String> properties = new HashMap<>();
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream err = new ByteArrayOutputStream();
    private InputStream in = InputStream.nullInputStream();
    private Output output = new Output(out);

    /** What a command left behind. */
    record Result(int exit, String out, String err) {

        /** Standard output, which must be one JSON value on one line and nothing else. */
        JsonNode json() {
            if (out.indexOf('\n') != out.length() - 1) {
                throw new AssertionError("not one line: " + out);
            }
            return JsonMapper.shared().readTree(out);
        }
    }

    Shell in(byte... bytes) {
        in = new ByteArrayInputStream(bytes);
        return this;
    }

    Shell in(String text) {
        return in(text.getBytes(StandardCharsets.UTF_8));
    }

    /** Where standard output goes; the result does not have it then. */
    Shell out(OutputStream stream) {
        output = new Output(stream);
        return this;
    }

    Shell environment(String name, String value) {
        environment.put(name, value);
        return this;
    }

    Shell property(String name, String value) {
        properties.put(name, value);
        return this;
    }

    Host host() {
        return new Host(
                in,
                output,
                new PrintWriter(err, true, StandardCharsets.UTF_8),
                environment::get,
                properties::get,
                interruption);
    }

    Result run(String... arguments) {
        int exit = Main.run(host(), arguments);
        return new Result(exit, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }
}
