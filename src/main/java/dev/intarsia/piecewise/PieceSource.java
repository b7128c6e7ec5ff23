package dev.intarsia.piecewise;

/**
 * A split graph as its owner sees it: what each piece is like and how it is compiled. Pieces are numbered as in the
 * {@link SplitPlan}; only compilable pieces are asked about.
 *
 * @param <E> the executable type
 */
public interface PieceSource<E extends CompiledPiece> {

    /** A number that equal pieces share: they are compiled once and use the same executables. */
    int pieceClass(int piece);

    /** Positions of all symbolic-int arguments of the piece; empty when every input is static. */
    int[] symShapeIndices(int piece);

    /**
     * Compiles the pieces of one class.
     *
     * @param pieceClass what {@link #pieceClass} said
     * @param range      the sizes to serve
     * @param concrete   as in {@link PieceCompiler#compile}
     * @return the executable, never null; the caller closes it
     */
    E compile(int pieceClass, CompileRange range, boolean concrete);
}
