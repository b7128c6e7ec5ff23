package dev.intarsia.jfr;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** One step of inference. Off by default: there is one for every token. */
@Name("dev.intarsia.Step")
@Label("Step")
@Category("Intarsia")
@StackTrace(false)
@Enabled(false)
public final class StepEvent extends Event {
    @Label("Tokens")
    @Description("Tokens of the step, without padding")
    public int tokens;

    @Label("Padded Tokens")
    @Description("Tokens that were run")
    public int paddedTokens;

    @Label("Sequences")
    @Description("Sequences that the tokens belong to")
    public int sequences;

    @Label("Rows")
    @Description("Rows whose logits were computed and sampled")
    public int rows;

    @Label("Mode")
    @Description("NONE, PIECEWISE or FULL")
    public String mode;

    @Label("Reason")
    @Description("Why it ran in this mode")
    public String reason;
}
