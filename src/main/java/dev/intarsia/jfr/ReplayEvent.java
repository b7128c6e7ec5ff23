package dev.intarsia.jfr;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A recording was replayed. Off by default: a step can have one for each of its pieces. */
@Name("dev.intarsia.Replay")
@Label("Replay")
@Category("Intarsia")
@StackTrace(false)
@Enabled(false)
public final class ReplayEvent extends Event {
    @Label("Mode")
    @Description("PIECEWISE or FULL")
    public String mode;

    @Label("Piece")
    @Description("Index of the piece, -1 for a whole step")
    public int piece;

    @Label("Tokens")
    @Description("Tokens of the recording, padding included")
    public int tokens;
}
