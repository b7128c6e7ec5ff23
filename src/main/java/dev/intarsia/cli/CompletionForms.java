package dev.intarsia.cli;

import dev.intarsia.Completion;
import dev.intarsia.TokenLogprobs;
import dev.intarsia.inspect.ModelReport;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import tools.jackson.core.JsonGenerator;

/** What {@code generate} prints of a completion, beyond the text that it shows as it comes. */
final class CompletionForms {
    private CompletionForms() {}

    /**
     * One object: the first output's members, all outputs where there are several, and how long it took.
     *
     * @param used null where no explanation was asked for
     */
    static String json(Completion completion, Duration load, ModelReport used) {
        return Json.object(json -> {
            output(json, completion.outputs().getFirst());
            if (completion.outputs().size() > 1) {
                json.writeArrayPropertyStart("outputs");
                completion.outputs().forEach(output -> {
                    json.writeStartObject();
                    output(json, output);
                    json.writeEndObject();
                });
                json.writeEndArray();
            }
            Json.integers(json, "prompt_tokens", completion.promptTokens());
            logprobs(json, "prompt_logprobs", completion.promptLogprobs());
            json.writeObjectPropertyStart("timings");
            json.writeNumberProperty("load_ms", millis(load));
            json.writeNumberProperty("queued_ms", millis(completion.timings().queued()));
            json.writeNumberProperty("first_token_ms", millis(completion.timings().firstToken()));
            json.writeNumberProperty("decode_ms", millis(completion.timings().decode()));
            json.writeNumberProperty(
                    "decode_tokens_per_second", completion.timings().decodeRate(completion.tokens().size()));
            json.writeEndObject();
            if (used != null) {
                Explanation.write(json, used);
            }
        });
    }

    private static void output(JsonGenerator json, Completion.Output output) {
        Json.integers(json, "tokens", output.tokens());
        json.writeStringProperty("text", output.text());
        json.writeStringProperty("finish_reason", output.finishReason().name().toLowerCase(Locale.ROOT));
        logprobs(json, "logprobs", output.logprobs());
    }

    private static void logprobs(JsonGenerator json, String name, List<TokenLogprobs> known) {
        if (known.isEmpty()) {
            return;
        }
        json.writeArrayPropertyStart(name);
        for (TokenLogprobs token : known) {
            json.writeStartObject();
            json.writeNumberProperty("id", token.id());
            json.writeNumberProperty("logprob", token.logprob());
            json.writeNumberProperty("rank", token.rank());
            json.writeArrayPropertyStart("top");
            for (TokenLogprobs.Candidate candidate : token.top()) {
                json.writeStartObject();
                json.writeNumberProperty("id", candidate.id());
                json.writeNumberProperty("logprob", candidate.logprob());
                json.writeEndObject();
            }
            json.writeEndArray();
            json.writeEndObject();
        }
        json.writeEndArray();
    }

    /** All outputs, each after a line with its number. */
    static void texts(Completion completion, boolean asText, Output out) {
        for (int i = 0; i < completion.outputs().size(); i++) {
            Completion.Output output = completion.outputs().get(i);
            out.println("[" + i + "]");
            out.println(asText ? output.text() : output.tokens().stream().map(String::valueOf).collect(Collectors.joining(",")));
        }
    }

    /** A line for each token whose log-probability is known. */
    static void logprobs(Completion completion, Output out) {
        logprobs("prompt token ", 1, completion.promptLogprobs(), out);
        for (int i = 0; i < completion.outputs().size(); i++) {
            String of = completion.outputs().size() == 1 ? "token " : "[" + i + "] token ";
            logprobs(of, 0, completion.outputs().get(i).logprobs(), out);
        }
    }

    private static void logprobs(String name, int first, List<TokenLogprobs> known, Output out) {
        for (int i = 0; i < known.size(); i++) {
            TokenLogprobs token = known.get(i);
            String top = token.top().stream()
                    .map(candidate -> candidate.id() + " " + number(candidate.logprob()))
                    .collect(Collectors.joining(", "));
            out.println(name + (first + i) + ": id " + token.id() + ", logprob " + number(token.logprob())
                    + ", rank " + token.rank() + (top.isEmpty() ? "" : "; likeliest " + top));
        }
    }

    private static String number(float logprob) {
        return String.format(Locale.ROOT, "%.4f", logprob);
    }

    static double millis(Duration duration) {
        return duration.toNanos() / 1e6;
    }
}
