package dev.intarsia.engine;

import dev.intarsia.text.IncrementalDecoder;

/** What the outputs' thread knows of a sequence. */
final class OutputText {
    int taken; // sampled tokens looked at
    IncrementalDecoder decoder; // null without a tokenizer, and where the text is decoded at the end
    StopStrings stops; // null if there are none
    final StringBuilder text = new StringBuilder();
    boolean stopped; // a stop string was found
    boolean ended;
    boolean posted; // guarded by the outputs: it is in their queue
}
