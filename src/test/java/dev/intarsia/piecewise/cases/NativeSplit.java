package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.SplitPlan;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.Dimension;
import dev.intarsia.runtime.ElementType;
import dev.intarsia.runtime.Graph;
import dev.intarsia.runtime.GraphInput;
import dev.intarsia.runtime.OpKind;
import dev.intarsia.runtime.Partition;
import dev.intarsia.runtime.Precision;
import dev.intarsia.runtime.WeightId;
import dev.intarsia.runtime.Weights;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * Ops by letter (a plain, S splitting, e empty allocation) built as a native graph and cut by the native pass: a is an
 * embedding, S a rotary table, of which each depends on inputs alone.
 *
 * @param groups  the letters of each piece
 * @param plan    the same as a plan
 */
record NativeSplit(List<String> groups, SplitPlan plan) {
    private static final Pattern OP = Pattern.compile("(?m)^%\\d+ = (\\w+)");
    private static final Map<String, String> LETTERS = Map.of("embedding", "a", "rope_table", "S", "empty", "e");

    /** @param cut whether S is a splitting op */
    static NativeSplit of(String letters, boolean cut) {
        try (Device device = Device.open(DeviceOptions.cpu().withThreads(1));
                Weights weights = Weights.create(device, Precision.F32);
                Graph graph = Graph.create(weights)) {
            WeightId embedding = weights.add(
                    "embedding", ElementType.F32, new long[] {3, 4}, MemorySegment.ofArray(new float[12]));
            WeightId frequencies =
                    weights.add("frequencies", ElementType.F32, new long[] {2}, MemorySegment.ofArray(new float[2]));
            for (char letter : letters.toCharArray()) {
                switch (letter) {
                    case 'a' -> graph.embedding(graph.input(GraphInput.TOKENS), embedding);
                    case 'S' -> graph.ropeTable(graph.input(GraphInput.POSITIONS), frequencies, 1);
                    case 'e' -> graph.empty(Dimension.TOKENS, 4);
                    default -> throw new IllegalArgumentException("no op is " + letter);
                }
            }
            try (Partition partition = graph.split(cut ? Set.of(OpKind.ROPE_TABLE) : Set.of())) {
                return of(partition);
            }
        }
    }

    private static NativeSplit of(Partition partition) {
        List<String> groups = new ArrayList<>();
        List<SplitPlan.Piece> pieces = new ArrayList<>();
        for (int i = 0; i < partition.info().pieces(); i++) {
            StringBuilder group = new StringBuilder();
            for (MatchResult line : OP.matcher(partition.describe(i)).results().toList()) {
                group.append(LETTERS.get(line.group(1)));
            }
            groups.add(group.toString());
            pieces.add(new SplitPlan.Piece(group.length(), partition.piece(i).splitting()));
        }
        return new NativeSplit(groups, new SplitPlan(pieces));
    }
}
