package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_compile_options;
import dev.intarsia.ffi.intarsia_partition_info;
import dev.intarsia.ffi.intarsia_piece_info;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A graph cut into pieces, in order of execution. Immutable; any thread may use it. */
public final class Partition extends Handle {

    Partition(MemorySegment pointer) {
        super("partition", pointer, Intarsia::intarsia_partition_destroy);
    }

    /** The partition as a whole. */
    public PartitionInfo info() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = Structs.allocate(arena, intarsia_partition_info.layout());
            Status.check(Intarsia.intarsia_partition_query(pointer(), info));
            return PartitionInfo.of(info);
        }
    }

    /**
     * One piece.
     *
     * @param piece 0 .. {@link PartitionInfo#pieces()} - 1
     */
    public PieceInfo piece(int piece) {
        Calls.atLeast(0, piece, "piece");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = Structs.allocate(arena, intarsia_piece_info.layout());
            Status.check(Intarsia.intarsia_partition_piece(pointer(), piece, info));
            return PieceInfo.of(info);
        }
    }

    /** The ops of a piece with their shapes, one a line, for people. */
    public String describe(int piece) {
        Calls.atLeast(0, piece, "piece");
        MemorySegment partition = pointer();
        return Calls.askText((buffer, capacity, needed) ->
                Intarsia.intarsia_partition_describe(partition, piece, buffer, capacity, needed));
    }

    /**
     * The class of a piece in canonical words: equal texts mean equal pieces, in any model and process of the same build of the
     * library.
     */
    public String classKey(int piece) {
        Calls.atLeast(0, piece, "piece");
        MemorySegment partition = pointer();
        return Calls.askText((buffer, capacity, needed) ->
                Intarsia.intarsia_partition_class(partition, piece, buffer, capacity, needed));
    }

    /**
     * Compiles the class of a piece; the executable serves every piece of that class.
     *
     * @param piece 0 .. {@link PartitionInfo#pieces()} - 1
     * @param lo    smallest size of the piece's dimension that is served, at least 1
     * @param hi    largest, at least {@code lo}; a frozen piece needs {@code lo <= frozen <= hi}, and its size is baked
     *     in
     * @param fuse  false: one kernel per op, the reference that a fused executable equals bit for bit
     */
    public Executable compile(int piece, int lo, int hi, boolean fuse) {
        return compile(piece, lo, hi, fuse ? 0 : Intarsia.INTARSIA_COMPILE_NO_FUSION(), new byte[0]);
    }

    /** Compiles, fused, and chooses by timing how the loops of the kernels are cut; no choice changes a bit. */
    public Executable compileMeasured(int piece, int lo, int hi) {
        return compile(piece, lo, hi, Intarsia.INTARSIA_COMPILE_MEASURE(), new byte[0]);
    }

    /**
     * Compiles, fused, with the choices that {@link Executable#artifact()} of an equal class and range once made.
     *
     * @throws NativeException ({@link NativeStatus#INVALID_ARGUMENT}) if they do not fit
     */
    public Executable compileWith(int piece, int lo, int hi, byte[] artifact) {
        if (artifact.length == 0) {
            throw new IllegalArgumentException("artifact must not be empty");
        }
        return compile(piece, lo, hi, 0, artifact);
    }

    private Executable compile(int piece, int lo, int hi, int flags, byte[] artifact) {
        Calls.atLeast(0, piece, "piece");
        Calls.atLeast(1, lo, "lo");
        Calls.atLeast(lo, hi, "hi");
        MemorySegment partition = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = Structs.allocate(arena, intarsia_compile_options.layout());
            intarsia_compile_options.lo(struct, lo);
            intarsia_compile_options.hi(struct, hi);
            intarsia_compile_options.flags(struct, flags);
            intarsia_compile_options.artifact(struct, arena.allocateFrom(ValueLayout.JAVA_BYTE, artifact));
            intarsia_compile_options.artifact_bytes(struct, artifact.length);
            return new Executable(Calls.askHandle(out -> Intarsia.intarsia_compile(partition, piece, struct, out)));
        }
    }
}
