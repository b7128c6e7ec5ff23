package dev.intarsia.engine;

import dev.intarsia.artifact.ArtifactKey;
import dev.intarsia.jfr.CompileEvent;
import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.CompiledPiece;
import dev.intarsia.piecewise.PieceSource;
import dev.intarsia.piecewise.SplitPlan;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.Dimension;
import dev.intarsia.runtime.Executable;
import dev.intarsia.runtime.Partition;
import dev.intarsia.runtime.PieceInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;

/** The pieces of a native partition over one dimension, as the piecewise layer sees them: numbered from 0 among themselves. */
final class NativePieces implements PieceSource<NativePieces.Compiled> {
    private static final int[] FIRST_ARGUMENT = {0};
    private static final int[] NO_ARGUMENT = {};

    private final Partition partition;
    private final Optional<Machine> measuredOn;
    private final int first;
    private final List<PieceInfo> pieces;

    private NativePieces(Partition partition, Optional<Machine> measuredOn, int first, List<PieceInfo> pieces) {
        this.partition = partition;
        this.measuredOn = measuredOn;
        this.first = first;
        this.pieces = List.copyOf(pieces);
    }

    /**
     * What measured kernel choices depend on beside the piece and the range.
     *
     * @param build of the native library
     * @param name of the device
     * @param device as it was opened
     */
    record Machine(String build, String name, DeviceOptions device) {}

    /** An executable that the piecewise layer owns. */
    record Compiled(Executable executable) implements CompiledPiece {
        @Override
        public void close() {
            executable.close();
        }
    }

    /**
     * The consecutive pieces of the partition whose size is counted by {@code dimension}.
     *
     * @param measuredOn where kernel choices are measured; empty: they are not, and nothing is worth keeping
     */
    static NativePieces of(Partition partition, Dimension dimension, Optional<Machine> measuredOn) {
        int first = 0;
        List<PieceInfo> pieces = new ArrayList<>();
        for (int i = 0, n = partition.info().pieces(); i < n; i++) {
            PieceInfo piece = partition.piece(i);
            if (piece.dimension() == dimension) {
                first = pieces.isEmpty() ? i : first;
                pieces.add(piece);
            }
        }
        return new NativePieces(partition, measuredOn, first, pieces);
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

    /** The cut as the piecewise layer counts it. */
    SplitPlan plan() {
        return new SplitPlan(pieces.stream()
                .map(piece -> new SplitPlan.Piece(piece.ops(), piece.splitting()))
                .toList());
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
        int piece = indexOfClass(pieceClass);
        return compiled(
                pieceClass,
                range,
                false,
                () -> measuredOn.isPresent()
                        ? partition.compileMeasured(piece, range.start(), range.end())
                        : partition.compile(piece, range.start(), range.end(), true));
    }

    @Override
    public Optional<ArtifactKey> artifactKey(int pieceClass, CompileRange range) {
        return measuredOn.map(machine -> keyOf(partition, indexOfClass(pieceClass), range, machine));
    }

    @Override
    public Compiled load(int pieceClass, CompileRange range, boolean concrete, byte[] artifact) {
        int piece = indexOfClass(pieceClass);
        return compiled(
                pieceClass, range, true, () -> partition.compileWith(piece, range.start(), range.end(), artifact));
    }

    @Override
    public Optional<byte[]> artifact(Compiled executable) {
        return Optional.of(executable.executable().artifact());
    }

    /** Names what was measured; sizes and modes of recordings change no code and are left out. */
    static ArtifactKey keyOf(Partition partition, int piece, CompileRange range, Machine machine) {
        return ArtifactKey.ofPieceText(partition.classKey(piece), range)
                .with("build", machine.build())
                .with("device", machine.device().kind().name().toLowerCase(Locale.ROOT))
                .with("name", machine.name())
                .with("deterministic", machine.device().deterministic())
                .with("tier", machine.device().tier())
                .with("threads", machine.device().threads());
    }

    private Compiled compiled(int pieceClass, CompileRange range, boolean fromArtifact, Supplier<Executable> compile) {
        CompileEvent flight = Flights.compile();
        Executable executable = compile.get();
        if (flight != null) {
            Flights.commit(flight, pieceClass, range, fromArtifact, executable.info());
        }
        return new Compiled(executable);
    }

    private int indexOfClass(int pieceClass) {
        for (int piece = 0; piece < pieces.size(); piece++) {
            if (pieces.get(piece).classId() == pieceClass) {
                return index(piece);
            }
        }
        throw new IllegalArgumentException("no piece is of class " + pieceClass);
    }
}
