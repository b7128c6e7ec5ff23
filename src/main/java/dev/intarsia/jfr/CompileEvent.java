package dev.intarsia.jfr;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A class of pieces was compiled for a range of sizes, or its stored choices were loaded. */
@Name("dev.intarsia.Compile")
@Label("Compile")
@Category("Intarsia")
@StackTrace(false)
public final class CompileEvent extends Event {
    @Label("Piece Class")
    @Description("Equal pieces share a class and its executables")
    public int pieceClass;

    @Label("Range Start")
    @Description("Smallest number of tokens or rows served")
    public int rangeStart;

    @Label("Range End")
    @Description("Largest number of tokens or rows served")
    public int rangeEnd;

    @Label("From Artifact")
    @Description("Whether measured choices came from the artifact store")
    public boolean fromArtifact;

    @Label("Kernels")
    @Description("Kernel calls of one execution")
    public int kernels;

    @Label("Arena")
    @Description("Scratch memory for the largest size")
    @DataAmount
    public long arenaBytes;
}
