package dev.intarsia.piecewise;

import dev.intarsia.artifact.ArtifactKey;
import java.util.Optional;

/**
 * A split graph as its owner sees it: what each piece is like and how it is compiled. Pieces are numbered as in the
 * {@link SplitPlan}; only compilable pieces are asked about.
 *
 * <p>A source whose executables hold something dear to make again says so with {@link #artifactKey}, {@link #load} and
 * {@link #artifact}; left as they are, nothing is stored.
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

    /**
     * Everything that {@link #artifact} depends on for the executable of this class and range; empty if it has none.
     *
     * @param pieceClass what {@link #pieceClass} said
     */
    default Optional<ArtifactKey> artifactKey(int pieceClass, CompileRange range) {
        return Optional.empty();
    }

    /**
     * Compiles as {@link #compile} does, but takes from a stored artifact what is dear to make.
     *
     * @param artifact what {@link #artifact} gave, perhaps in another process; its store vouches for the bytes
     * @return the executable, never null; the caller closes it
     * @throws dev.intarsia.IntarsiaException if the artifact does not fit: it is made again
     */
    default E load(int pieceClass, CompileRange range, boolean concrete, byte[] artifact) {
        throw new UnsupportedOperationException("this source gave a key for an artifact and cannot load one");
    }

    /** What is dear to make again in an executable that {@link #compile} made; empty if nothing is. */
    default Optional<byte[]> artifact(E executable) {
        return Optional.empty();
    }
}
