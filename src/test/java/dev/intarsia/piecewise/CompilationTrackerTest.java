package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class CompilationTrackerTest {
    @Test
    void eachCounterCountsItsOwn() {
        CompilationTracker tracker = new CompilationTracker();
        tracker.countCompilation();
        for (int i = 0; i < 2; i++) {
            tracker.countArtifactLoaded();
        }
        for (int i = 0; i < 3; i++) {
            tracker.countArtifactSaved();
        }
        for (int i = 0; i < 4; i++) {
            tracker.countCapture();
        }
        for (int i = 0; i < 5; i++) {
            tracker.countReplay();
        }
        assertThat(tracker.counters()).isEqualTo(new CompilationCounters(0, 0, 0, 1, 2, 3, 4, 5));
    }

    @Test
    void timesAddUpAlsoWhenTheWorkThrows() throws InterruptedException {
        CompilationTracker tracker = new CompilationTracker();
        assertThat(tracker.time(CompilationPhase.LOAD, CompilationTrackerTest::slowly)).isEqualTo("done");
        long once = tracker.timings().get(CompilationPhase.LOAD).toMillis();
        assertThat(once).isGreaterThanOrEqualTo(5);
        assertThatThrownBy(() -> tracker.time(CompilationPhase.LOAD, () -> {
                    slowly();
                    throw new IllegalStateException("no");
                }))
                .hasMessage("no");
        assertThat(tracker.timings().get(CompilationPhase.LOAD).toMillis()).isGreaterThanOrEqualTo(once + 5);
        assertThat(tracker.timings()).containsOnlyKeys(CompilationPhase.values());
    }

    private static String slowly() {
        long end = System.nanoTime() + 6_000_000;
        while (System.nanoTime() < end) {
            Thread.onSpinWait();
        }
        return "done";
    }
}
