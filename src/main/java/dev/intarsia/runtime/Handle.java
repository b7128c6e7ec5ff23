package dev.intarsia.runtime;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * A native object, owned by this one. Close it, from any thread and as often as you like; the first call counts.
 * Objects keep alive natively what they are built on, so the order of closing is free.
 *
 * <p>Every method of a closed handle throws {@link IllegalStateException}. A close while another thread is inside a
 * call on the same handle is safe: the native side keeps the object until that call returns. A call that begins while
 * the handle is being closed either runs before, or fails with {@link IllegalStateException} or {@link
 * NativeStatus#INVALID_HANDLE}.
 */
public abstract sealed class Handle implements AutoCloseable
        permits Device, Weights, Graph, Partition, Executable, KvCache, Step, Recording {

    private final String noun;
    private final Consumer<MemorySegment> destroy;
    private final AtomicReference<MemorySegment> pointer;

    /**
     * @param noun    what the object is called in messages
     * @param pointer the native handle, which this object owns from now on
     * @param destroy ends it
     */
    Handle(String noun, MemorySegment pointer, Consumer<MemorySegment> destroy) {
        this.noun = noun;
        this.pointer = new AtomicReference<>(pointer);
        this.destroy = destroy;
    }

    /** The native handle, to be passed to a call at once. */
    final MemorySegment pointer() {
        MemorySegment open = pointer.get();
        if (open == null) {
            throw new IllegalStateException(noun + " is closed");
        }
        return open;
    }

    /** Whether {@link #close()} was called. */
    public final boolean isClosed() {
        return pointer.get() == null;
    }

    /** Releases the native object, once nothing else is built on it; closing again does nothing. */
    @Override
    public void close() {
        MemorySegment open = pointer.getAndSet(null);
        if (open != null) {
            destroy.accept(open);
        }
    }

    @Override
    public final String toString() {
        return isClosed() ? noun + " (closed)" : noun;
    }
}
