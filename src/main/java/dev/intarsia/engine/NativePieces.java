package dev.intarsia.engine;

import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.CompiledPiece;
import dev.intarsia.piecewise.PieceSource;
import dev.intarsia.piecewise.SplitPlan;
import dev.intarsia.runtime.Dimension;
import dev.intarsia.runtime.Executable;
import dev.intarsia.runtime.Partition;
import dev.intarsia.runtime.PieceInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** The pieces of a native partition over one dimension, as the piecewise layer sees them: numbered from 0 among themselves. */
final class NativePieces implements PieceSource<NativePieces.Compiled> {
    private static final int[] FIRST_ARGUMENT = {0};
    private static final int[] NO_ARGUMENT = {};

    private final Partition partition;
    private final int first;
    private final List<PieceInfo> pieces;

    private NativePieces(Partition partition, int first, List<PieceInfo> pieces) {
        this.partition = partition;
        this.first = first;
        this.pieces = List.copyOf(pieces);
    }

    /** An executable that the piecewise layer owns. */
    record Compiled(Executable executable) implements CompiledPiece {
        @Override
        public void close() {
            executable.close();
        }
    }

    /** The consecutive pieces of the partition whose size is counted by {@code dimension}. */
    static NativePieces of(Partition partition, Dimension dimension) {
        int first = 0;
        List<PieceInfo> pieces = new ArrayList<>();
        for (int i = 0, n = partition.info().pieces(); i < n; i++) {
            PieceInfo piece = partition.piece(i);
            if (piece.dimension() == dimension) {
                first = pieces.isEmpty() ? i : first;
                pieces.add(piece);
            }
        }
        return new NativePieces(partition, first, pieces);
    }

    int count() {
        return pieces.size();
    }

    /** Index in the partition of a piece of this list. */
    int index(int piece) {
        return first + piece;
    }

    boolean splitting(int piece) {
        return pieces.get(piece).splitting();
    }

    /** The cut as the piecewise layer counts it; ops are numbered through. */
    SplitPlan plan() {
        List<SplitPlan.Piece> plan = new ArrayList<>();
        int op = 0;
        for (PieceInfo piece : pieces) {
            plan.add(new SplitPlan.Piece(IntStream.range(op, op + piece.ops()).boxed().toList(), piece.splitting()));
            op += piece.ops();
        }
        return new SplitPlan(plan);
    }

    /** An executable outside the piecewise layer: for splitting pieces, and for compilation NONE. The caller closes it. */
    Executable compile(int piece, int most, boolean fuse) {
        return partition.compile(index(piece), 1, most, fuse);
    }

    @Override
    public int pieceClass(int piece) {
        return pieces.get(piece).classId();
    }

    @Override
    public int[] symShapeIndices(int piece) {
        return pieces.get(piece).symbolic() ? FIRST_ARGUMENT : NO_ARGUMENT;
    }

    @Override
    public Compiled compile(int pieceClass, CompileRange range, boolean concrete) {
        for (int piece = 0; piece < pieces.size(); piece++) {
            if (pieces.get(piece).classId() == pieceClass) {
                return new Compiled(partition.compile(index(piece), range.start(), range.end(), true));
            }
        }
        throw new IllegalArgumentException("no piece is of class " + pieceClass);
    }
}
