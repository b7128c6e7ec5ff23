package dev.intarsia.engine;

import dev.intarsia.EngineInfo;
import dev.intarsia.piecewise.CompilationCounters;
import dev.intarsia.piecewise.CompilationState;
import java.util.Locale;

/** What an engine says in the log when it is open, in one line. */
final class Opened {
    private Opened() {}

    static String line(EngineInfo info, CompilationState state) {
        CompilationCounters counters = state.counters();
        return String.format(
                Locale.ROOT,
                "opened %s in %s: weights %.1f MB, KV cache %.1f MB; %s, %s, %d threads; %d executables compiled and %d loaded,"
                        + " %d recordings made, graph mode %s",
                info.architecture(),
                info.mode(),
                info.weightBytes() / 1e6,
                info.kvCacheBytes() / 1e6,
                info.device(),
                info.cpuTier(),
                info.threads(),
                counters.compilations(),
                counters.artifactsLoaded(),
                counters.captures(),
                state.graphs().mode());
    }
}
