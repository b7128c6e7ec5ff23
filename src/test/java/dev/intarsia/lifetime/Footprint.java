package dev.intarsia.lifetime;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.management.ManagementFactory;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * What this process holds, as Linux counts it.
 *
 * @param resident    bytes of memory in use, of any kind
 * @param allocated   bytes that native code has from malloc and not given back; 0 where the C library does not tell
 * @param mappings    entries of the address space
 * @param threads     Java's and native ones
 * @param descriptors open files
 * @param heap        bytes of reachable Java objects
 */
public record Footprint(long resident, long allocated, long mappings, long threads, long descriptors, long heap) {

    private static final Path SELF = Path.of("/proc/self");

    /** Now, after a garbage collection. */
    public static Footprint now() {
        System.gc();
        try (Stream<String> maps = Files.lines(SELF.resolve("maps"));
                DirectoryStream<Path> files = Files.newDirectoryStream(SELF.resolve("fd"))) {
            long descriptors = 0;
            for (Path file : files) {
                descriptors += file.getNameCount() > 0 ? 1 : 0;
            }
            return new Footprint(
                    status("VmRSS") * 1024,
                    allocatedNow(),
                    maps.count(),
                    status("Threads"),
                    descriptors,
                    ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static long status(String key) throws IOException {
        try (Stream<String> lines = Files.lines(SELF.resolve("status"))) {
            String line = lines.filter(each -> each.startsWith(key + ":")).findFirst().orElseThrow();
            return Long.parseLong(line.replaceAll("\\D", ""));
        }
    }

    /** glibc's {@code mallinfo2}: ten sizes, the fifth is that of mapped blocks, the eighth of all others in use. */
    private static long allocatedNow() {
        StructLayout info = MemoryLayout.structLayout(MemoryLayout.sequenceLayout(10, ValueLayout.JAVA_LONG));
        Linker linker = Linker.nativeLinker();
        return linker.defaultLookup().find("mallinfo2").map(function -> {
            try (Arena arena = Arena.ofConfined()) {
                MethodHandle call = linker.downcallHandle(function, FunctionDescriptor.of(info));
                MemorySegment filled = (MemorySegment) call.invokeExact((SegmentAllocator) arena);
                return filled.getAtIndex(ValueLayout.JAVA_LONG, 4) + filled.getAtIndex(ValueLayout.JAVA_LONG, 7);
            } catch (Throwable e) {
                throw new AssertionError(e);
            }
        }).orElse(0L);
    }
}
