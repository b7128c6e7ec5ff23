package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_kv_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The keys and values of all sequences, in blocks. Which block belongs to which sequence is its user's business. Any
 * thread may use it, but steps that run at the same time must not write a block that the other reads.
 */
public final class KvCache extends Handle {

    /** Positions in one block. */
    public static final int BLOCK = Intarsia.INTARSIA_KV_BLOCK();

    private KvCache(MemorySegment pointer) {
        super("KV cache", pointer, Intarsia::intarsia_kv_destroy);
    }

    /** @throws NativeException if the shape is not allowed, or there is no memory */
    public static KvCache create(Device device, KvOptions options) {
        MemorySegment pointer = Calls.pointerOf(device, "device");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = Structs.allocate(arena, intarsia_kv_options.layout());
            intarsia_kv_options.precision(struct, options.precision().code);
            intarsia_kv_options.layers(struct, options.layers());
            intarsia_kv_options.kv_heads(struct, options.kvHeads());
            intarsia_kv_options.head_dim(struct, options.headDim());
            intarsia_kv_options.blocks(struct, options.blocks());
            return new KvCache(Calls.askHandle(out -> Intarsia.intarsia_kv_create(pointer, struct, out)));
        }
    }

    /** Bytes held by the cache. */
    public long bytes() {
        MemorySegment pointer = pointer();
        return Calls.askLong(out -> Intarsia.intarsia_kv_bytes(pointer, out));
    }
}
