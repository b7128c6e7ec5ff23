package dev.intarsia.runtime;

import dev.intarsia.ffi.intarsia_partition_info;
import java.lang.foreign.MemorySegment;

/**
 * A split graph as a whole.
 *
 * @param pieces        number of pieces
 * @param classes       number of distinct pieces: equal ones share a class and with it their executables
 * @param values        number of values that cross from piece to piece
 * @param bytesPerToken bytes of the crossing values per token, after sharing by liveness
 * @param bytesPerRow   bytes of the crossing values per row
 */
public record PartitionInfo(int pieces, int classes, int values, long bytesPerToken, long bytesPerRow) {

    static PartitionInfo of(MemorySegment info) {
        return new PartitionInfo(
                intarsia_partition_info.pieces(info),
                intarsia_partition_info.classes(info),
                intarsia_partition_info.values(info),
                intarsia_partition_info.bytes_per_token(info),
                intarsia_partition_info.bytes_per_row(info));
    }
}
