package dev.intarsia.runtime;

import dev.intarsia.NativeLibraryException;
import dev.intarsia.ffi.Intarsia;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.function.Supplier;

/**
 * Finds, loads and checks the native library, once for the process. It is asked for in this order, and the first that
 * is there decides:
 *
 * <ol>
 *   <li>the system property {@code intarsia.library}, an absolute path;
 *   <li>the environment variable {@code INTARSIA_LIBRARY}, an absolute path;
 *   <li>the resource {@code META-INF/intarsia/OS-ARCH/libintarsia.so}, extracted under its content hash into {@code
 *       $XDG_CACHE_HOME/intarsia/native}, else {@code ~/.cache/intarsia/native}, else a temporary directory that is
 *       removed as soon as the library is loaded.
 * </ol>
 *
 * <p>The plug-in for CUDA devices, {@code libintarsia_cuda.so}, is looked for by the system property {@code intarsia.cuda.library}, the
 * environment variable {@code INTARSIA_CUDA_LIBRARY}, beside the library, and as a resource likewise. It need not be there.
 *
 * <p>Opening a device loads the library; nobody has to. A failure is final: every later attempt fails with the same
 * message. Any thread may call; the others wait for the first.
 */
public final class NativeLibrary {
    private static final NativeLibrary INSTANCE = new NativeLibrary(NativeLibrary::loadIntoThisProcess);

    private final Supplier<LibraryInfo> loader;
    private volatile LibraryInfo info;
    private NativeLibraryException failure;

    NativeLibrary(Supplier<LibraryInfo> loader) {
        this.loader = loader;
    }

    /**
     * Loads the library unless it is loaded.
     *
     * @throws NativeLibraryException if native access is not enabled, no library can be loaded, or the one found does
     *     not fit the bindings; the message lists everything tried and why it did not do
     */
    public static void load() {
        INSTANCE.get();
    }

    /**
     * Which library is loaded; loads it unless it is.
     *
     * @throws NativeLibraryException as {@link #load} does
     */
    public static LibraryInfo describe() {
        return INSTANCE.get();
    }

    LibraryInfo get() {
        LibraryInfo loaded = info;
        return loaded != null ? loaded : getOnce();
    }

    private synchronized LibraryInfo getOnce() {
        if (failure != null) {
            throw new NativeLibraryException(failure.getMessage(), failure);
        }
        if (info == null) {
            try {
                info = loader.get();
            } catch (NativeLibraryException e) {
                failure = e;
                throw e;
            }
        }
        return info;
    }

    private static LibraryInfo loadIntoThisProcess() {
        checkNativeAccess();
        LibraryInfo loaded = new LibraryLoader(
                        System::getProperty,
                        System::getenv,
                        NativeLibrary.class.getClassLoader()::getResourceAsStream,
                        file -> System.load(file.toString()),
                        new BindingsProbe())
                .load();
        Status.lastError(); // linked here, so that later nothing comes between a failing call and its message
        new CudaPlugin(System::getProperty, System::getenv, NativeLibrary.class.getClassLoader()::getResourceAsStream)
                .handTo(loaded, new LoadedLibrary());
        return loaded;
    }

    /** The library of this process. */
    private static final class LoadedLibrary implements CudaPlugin.Library {
        @Override
        public void take(Path plugin) {
            try (Arena arena = Arena.ofConfined()) {
                Status.check(Intarsia.intarsia_device_plugin(arena.allocateFrom(plugin.toString())));
            }
        }

        @Override
        public void loadNow() {
            Calls.askInt(Intarsia::intarsia_device_count);
        }
    }

    /** Both modules are the unnamed one of a class path, or each is its own on a module path. */
    private static void checkNativeAccess() {
        Module caller = NativeLibrary.class.getModule();
        Module bindings = Intarsia.class.getModule();
        if (!caller.isNativeAccessEnabled() || !bindings.isNativeAccessEnabled()) {
            String modules = caller.isNamed() ? caller.getName() + "," + bindings.getName() : "ALL-UNNAMED";
            throw new NativeLibraryException("Native access is not enabled: start the JVM with"
                    + " --enable-native-access=" + modules);
        }
        if (NativeLibrary.class.getClassLoader() != Intarsia.class.getClassLoader()) {
            throw new NativeLibraryException("The classes of intarsia and of intarsia-bindings must come from one class"
                    + " loader, but come from " + NativeLibrary.class.getClassLoader() + " and "
                    + Intarsia.class.getClassLoader());
        }
    }
}
