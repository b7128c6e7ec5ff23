/**
 * The native runtime as typed, closeable, bounds-checked Java objects. This is the only package that touches the
 * generated bindings: no address and no segment of native memory leaves it.
 *
 * <p>The order of use is {@link dev.intarsia.runtime.Device} → {@link dev.intarsia.runtime.Weights} → {@link
 * dev.intarsia.runtime.Graph} → {@link dev.intarsia.runtime.Partition} → {@link dev.intarsia.runtime.Executable},
 * {@link dev.intarsia.runtime.KvCache} → {@link dev.intarsia.runtime.Step}. What a call on the native side refuses is a
 * {@link dev.intarsia.runtime.NativeException}; what cannot be a call at all (a null, a negative count, a closed
 * handle) is the usual unchecked exception of the JDK.
 *
 * <p>Native calls pin the carrier of a virtual thread: make them from platform threads.
 */
package dev.intarsia.runtime;
