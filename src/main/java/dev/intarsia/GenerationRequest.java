package dev.intarsia;

import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * A prompt and how it is to be continued. Immutable; made by {@link #of(String, SamplingParams)} or a {@link
 * #builder(String)}.
 *
 * @param text the prompt as text; empty if it is given as ids
 * @param tokens the prompt as token ids; empty if it is given as text
 * @param params how tokens are chosen and when the completion ends; empty = {@link Engine#defaultSamplingParams()}
 * @param priority under {@link SchedulingPolicy#PRIORITY} a lower value goes first; 0 by default
 * @param deadline how long it may take from the call; what is there by then is the completion, with {@link
 *     FinishReason#DEADLINE}. Empty = for ever
 * @param cacheSalt requests share cached prefixes only with those of an equal salt, so that none learns from its
 *     timings what another asked; empty by default
 */
public record GenerationRequest(
        Optional<String> text,
        List<Integer> tokens,
        Optional<SamplingParams> params,
        int priority,
        Optional<Duration> deadline,
        String cacheSalt) {

    /** @throws IllegalArgumentException naming the field, its value and its bound */
    public GenerationRequest {
        Objects.requireNonNull(text, "text");
        Objects.requireNonNull(params, "params");
        Objects.requireNonNull(cacheSalt, "cacheSalt");
        Objects.requireNonNull(deadline, "deadline");
        tokens = List.copyOf(Objects.requireNonNull(tokens, "tokens"));
        Check.that(
                text.isEmpty() || tokens.isEmpty(),
                "tokens",
                tokens.size() + " ids",
                "empty where the prompt is a text");
        deadline.ifPresent(time -> Check.that(
                time.isPositive() && time.compareTo(Duration.ofDays(365)) <= 0,
                "deadline",
                time,
                "more than 0 and at most 365 days"));
    }

    /** Continue a text. */
    public static GenerationRequest of(String text, SamplingParams params) {
        return builder(text).params(params).build();
    }

    /** Continue token ids, which need no tokenizer. */
    public static GenerationRequest of(List<Integer> tokens, SamplingParams params) {
        return builder(tokens).params(params).build();
    }

    /** Continue a text. */
    public static Builder builder(String text) {
        return new Builder(Optional.of(Objects.requireNonNull(text, "text")), List.of());
    }

    /** Continue token ids, which need no tokenizer. */
    public static Builder builder(List<Integer> tokens) {
        return new Builder(Optional.empty(), Objects.requireNonNull(tokens, "tokens"));
    }

    /** Sets single fields; the rest keep their defaults. */
    public static final class Builder {
        private final Optional<String> text;
        private final List<Integer> tokens;
        private Optional<SamplingParams> params = Optional.empty();
        private int priority;
        private Optional<Duration> deadline = Optional.empty();
        private String cacheSalt = "";

        private Builder(Optional<String> text, List<Integer> tokens) {
            this.text = text;
            this.tokens = tokens;
        }

        public Builder params(SamplingParams value) {
            params = Optional.of(Objects.requireNonNull(value, "params"));
            return this;
        }

        public Builder priority(int value) {
            priority = value;
            return this;
        }

        public Builder deadline(Duration value) {
            deadline = Optional.of(Objects.requireNonNull(value, "deadline"));
            return this;
        }

        public Builder cacheSalt(String value) {
            cacheSalt = value;
            return this;
        }

        /** @throws IllegalArgumentException naming the field, its value and its bound */
        public GenerationRequest build() {
            return new GenerationRequest(text, tokens, params, priority, deadline, cacheSalt);
        }
    }
}
