package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.BatchDescriptor;
import dev.intarsia.piecewise.Recordable;
import dev.intarsia.piecewise.Recording;

/** Counts how often it is called, recorded and replayed. */
final class FakeRecordable implements Recordable {
    int calls;
    int replays;

    @Override
    public void run(BatchDescriptor batch) {
        calls++;
    }

    @Override
    public Recording record(BatchDescriptor batch) {
        calls++;
        return new Recording() {
            @Override
            public void replay() {
                replays++;
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public long[] inputAddresses() {
        return new long[] {0x1000, 0x2000};
    }
}
