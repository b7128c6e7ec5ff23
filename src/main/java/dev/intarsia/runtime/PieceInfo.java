package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_piece_info;
import java.lang.foreign.MemorySegment;

/**
 * A piece of a split graph.
 *
 * @param splitting   whether it holds splitting ops
 * @param dimension   what its size counts
 * @param symbolic    whether that dimension is symbolic rather than frozen
 * @param frozen      the size the dimension is frozen to, 0 if symbolic
 * @param classId     equal pieces share a class: 0 .. classes - 1, in order of first appearance
 * @param ops         number of ops
 * @param inputs      number of values read from other pieces or from the step
 * @param outputs     number of values that later pieces read
 * @param weightBytes bytes of weights that one execution reads
 * @param flopsPerRow 2 per multiply-add of the linear ops, for one row of the dimension
 */
public record PieceInfo(
        boolean splitting,
        Dimension dimension,
        boolean symbolic,
        int frozen,
        int classId,
        int ops,
        int inputs,
        int outputs,
        long weightBytes,
        long flopsPerRow) {

    static PieceInfo of(MemorySegment info) {
        return new PieceInfo(
                intarsia_piece_info.kind(info) == Intarsia.INTARSIA_PIECE_SPLITTING(),
                Dimension.of(intarsia_piece_info.dimension(info)),
                intarsia_piece_info.symbolic(info) != 0,
                intarsia_piece_info.frozen(info),
                intarsia_piece_info.class_id(info),
                intarsia_piece_info.ops(info),
                intarsia_piece_info.inputs(info),
                intarsia_piece_info.outputs(info),
                intarsia_piece_info.weight_bytes(info),
                intarsia_piece_info.flops_per_row(info));
    }
}
