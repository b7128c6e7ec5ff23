package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.CompiledPiece;

/** Stands for an executable: knows what it was compiled for. */
record FakePiece(CompileRange range, boolean concrete) implements CompiledPiece {

    /** {@code static} = one size, concrete shapes. */
    String kind() {
        return concrete ? "static" : "dynamic";
    }

    @Override
    public void close() {}
}
