package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class GraphModeResolverTest {
    private static final CaptureSizes SIZES = CaptureSizes.of(List.of(1, 2, 4, 8));

    /** Over every combination: what is resolved can be recorded, nothing is raised, each change is an event. */
    @Test
    void whatIsResolvedCanAlwaysBeRecorded() {
        for (GraphMode asked : GraphMode.values()) {
            for (AttentionSupport support : AttentionSupport.values()) {
                for (boolean split : new boolean[] {true, false}) {
                    for (int query : new int[] {1, 3}) {
                        if (asked == GraphMode.FULL && support == AttentionSupport.NEVER) {
                            assertThatThrownBy(() -> GraphModeResolver.resolve(asked, support, split, query, SIZES))
                                    .isInstanceOf(IllegalArgumentException.class)
                                    .hasMessageContaining("FULL is not supported");
                        } else {
                            check(asked, support, split, query);
                        }
                    }
                }
            }
        }
    }

    private static void check(GraphMode asked, AttentionSupport support, boolean split, int query) {
        GraphModeResolver.Resolved resolved = GraphModeResolver.resolve(asked, support, split, query, SIZES);
        GraphMode mode = resolved.mode();
        String what = asked + " on " + support + ", split " + split + ", query length " + query + " → " + mode;
        if (mode.mixed() == RuntimeMode.FULL) {
            assertThat(support).as(what).isEqualTo(AttentionSupport.ALWAYS);
        }
        if (mode.decode() == RuntimeMode.FULL) {
            assertThat(support).as(what).isNotEqualTo(AttentionSupport.NEVER);
            assertThat(query == 1 || support.compareTo(AttentionSupport.UNIFORM_BATCH) >= 0).as(what).isTrue();
            assertThat(resolved.sizes().sizes()).as(what).allMatch(size -> size % query == 0);
        } else {
            assertThat(resolved.sizes()).as(what).isEqualTo(SIZES);
        }
        if (mode != asked) {
            assertThat(asked.decode()).as(what).isEqualTo(RuntimeMode.FULL);
            assertThat(mode.mixed() == RuntimeMode.PIECEWISE).as(what).isEqualTo(split);
            assertThat(resolved.events()).as(what).anyMatch(event -> event.subject().equals("graph mode")
                    && event.message().contains("lowered to " + mode)
                    && event.message().contains(support.toString()));
        } else {
            assertThat(resolved.events()).as(what).noneMatch(event -> event.subject().equals("graph mode"));
        }
        boolean rounded = !resolved.sizes().sizes().equals(SIZES.sizes());
        assertThat(resolved.events().stream().anyMatch(event -> event.subject().equals("capture sizes")))
                .as(what)
                .isEqualTo(rounded);
    }

    @Test
    void everyStepDownIsReported() {
        GraphModeResolver.Resolved resolved = GraphModeResolver.resolve(
                GraphMode.FULL, AttentionSupport.UNIFORM_SINGLE_TOKEN_DECODE, true, 3, SIZES);
        assertThat(resolved.mode()).isEqualTo(GraphMode.PIECEWISE);
        assertThat(resolved.events()).extracting(CompilationEvent::toString).containsExactly(
                "graph mode: FULL lowered to FULL_AND_PIECEWISE: attention support UNIFORM_SINGLE_TOKEN_DECODE does "
                        + "not cover mixed batches, and the graph is split at attention",
                "graph mode: FULL_AND_PIECEWISE lowered to PIECEWISE: attention support UNIFORM_SINGLE_TOKEN_DECODE "
                        + "does not cover 3 tokens per request, and the graph is split at attention");
    }
}
