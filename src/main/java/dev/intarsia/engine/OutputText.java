package dev.intarsia.engine;

import dev.intarsia.SamplingParams;
import dev.intarsia.text.IncrementalDecoder;
import dev.intarsia.text.Tokenizer;

/** What the outputs' thread knows of a sequence. */
final class OutputText {
    private final SamplingParams params;
    int taken; // sampled tokens looked at
    IncrementalDecoder decoder; // null without a tokenizer, and where the text is decoded at the end
    StopStrings stops; // null if there are none
    final StringBuilder text = new StringBuilder(); // without what is held back
    boolean stopped; // a stop string was found
    boolean ended;
    boolean posted; // guarded by the outputs: it is in their queue

    OutputText(SamplingParams params) {
        this.params = params;
    }

    /** Before the first token. */
    void open(Tokenizer tokenizer) {
        if (taken == 0 && tokenizer != null && decoder == null) {
            decoder = new IncrementalDecoder(tokenizer, params.skipSpecialTokens());
            stops = params.stop().isEmpty() ? null : new StopStrings(params.stop(), params.includeStopStrInOutput());
        }
    }

    /** The text that is certain with this token; empty without a tokenizer. */
    String append(int token) {
        taken++;
        return decoder == null ? "" : pass(decoder.append(token));
    }

    /** The text that was waiting for a token that did not come. */
    String finish() {
        if (decoder == null || stopped) {
            return "";
        }
        String tail = pass(decoder.finish());
        return stops == null || stopped ? tail : tail + stops.finish();
    }

    private String pass(String piece) {
        if (stops == null) {
            return piece;
        }
        String certain = stops.append(piece, taken > params.minTokens());
        stopped = stops.found() != null;
        return certain;
    }
}
