package dev.intarsia.piecewise;

/**
 * Compiles one piece.
 *
 * @param <E> the executable type
 */
@FunctionalInterface
public interface PieceCompiler<E> {

    /**
     * @param range    the sizes the executable must serve
     * @param concrete whether shapes are fixed: to {@code range.start()} if the range is single-size, else (a static
     *                 piece) to the size the piece was frozen with; false: any size in the range, symbolic dimension
     * @return the executable, never null
     */
    E compile(CompileRange range, boolean concrete);
}
