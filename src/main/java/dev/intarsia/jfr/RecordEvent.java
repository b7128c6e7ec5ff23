package dev.intarsia.jfr;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A piece or a whole step was recorded at one size. */
@Name("dev.intarsia.Record")
@Label("Record")
@Category("Intarsia")
@StackTrace(false)
public final class RecordEvent extends Event {
    @Label("Mode")
    @Description("PIECEWISE or FULL")
    public String mode;

    @Label("Piece")
    @Description("Index of the piece, -1 for a whole step")
    public int piece;

    @Label("Tokens")
    @Description("Tokens of the step, padding included")
    public int tokens;

    @Label("Kernels")
    @Description("Kernel calls of one replay")
    public int kernels;

    @Label("Recording")
    @Description("Memory of the resolved calls")
    @DataAmount
    public long bytes;

    @Label("Arena")
    @Description("Scratch memory, shared with the other recordings")
    @DataAmount
    public long arenaBytes;
}
