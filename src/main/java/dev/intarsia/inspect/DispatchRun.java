package dev.intarsia.inspect;

import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.RuntimeMode;
import dev.intarsia.runtime.Dimension;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Consecutive sizes that are dispatched alike: replayed from the same recording, or not replayed for the same reason
 * and run by the same entries.
 *
 * @param first  smallest size
 * @param last   largest size; where steps are replayed, the recording's own
 * @param answer of the first size
 * @param entry  of the plain classes over tokens, the one that serves what runs, padding included; empty where there
 *               is no such class
 */
public record DispatchRun(int first, int last, Dispatch answer, Optional<Entry> entry) {

    /** The runs from one token on, for decode batches (every sequence has one token) or for all others. */
    public static List<DispatchRun> of(ModelReport report, boolean uniform) {
        Optional<PieceClass> plain = report.classes().stream()
                .filter(each -> each.kind() == Kind.PLAIN && each.dimension() == Dimension.TOKENS)
                .findFirst();
        List<DispatchRun> runs = new ArrayList<>();
        CompilationState.Graphs graphs = report.compilation().graphs();
        for (Dispatch answer : uniform ? graphs.uniform() : graphs.mixed()) {
            if (answer.tokens() == 0) {
                continue; // no step has none
            }
            Optional<Entry> entry = plain.flatMap(each -> each.entryFor(answer.paddedTokens()));
            DispatchRun before = runs.isEmpty() ? null : runs.getLast();
            if (before != null && before.runsLike(answer, entry)) {
                runs.set(runs.size() - 1, new DispatchRun(before.first, answer.tokens(), before.answer, entry));
            } else {
                runs.add(new DispatchRun(answer.tokens(), answer.tokens(), answer, entry));
            }
        }
        return runs;
    }

    private boolean runsLike(Dispatch other, Optional<Entry> otherEntry) {
        return answer.mode() == other.mode()
                && entry.map(Entry::lo).equals(otherEntry.map(Entry::lo))
                && entry.map(Entry::hi).equals(otherEntry.map(Entry::hi))
                && (replayed() ? answer.batch().equals(other.batch()) : answer.reason() == other.reason());
    }

    /** Whether a recording is replayed. */
    public boolean replayed() {
        return answer.mode() != RuntimeMode.NONE;
    }
}
