package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CaptureSizesTest {
    private static CaptureSizes derive(GraphConfig.Builder config) {
        return CaptureSizes.derive(config.build());
    }

    /** Whatever the limits, the default list is what a filter over all ints gives. */
    @Test
    void theDefaultListIsWhatTheRuleSays() {
        Random random = new Random(48);
        for (int round = 0; round < 300; round++) {
            int limit = 1 + random.nextInt(700);
            int seqs = 1 + random.nextInt(300);
            int query = 1 + random.nextInt(4);
            int max = Math.min(limit, Math.min(seqs * query * 2, 512));
            List<Integer> expected = new ArrayList<>();
            for (int n = 1; n <= max; n++) {
                boolean step = n < 8 ? n == 1 || n == 2 || n == 4 : n < 256 ? n % 8 == 0 : n % 16 == 0;
                if (step || n == limit) {
                    expected.add(n);
                }
            }
            assertThat(derive(GraphConfig.builder(limit, seqs).queryLength(query)).sizes())
                    .as("%d tokens, %d requests of %d", limit, seqs, query)
                    .isEqualTo(expected);
        }
    }

    @Test
    void aGivenListIsCutSortedAndDistinctAndSaysWhatItLost() {
        CaptureSizes sizes = derive(GraphConfig.builder(64, 8).captureSizes(List.of(128, 4, 16, 4, 128)));
        assertThat(sizes.sizes()).containsExactly(4, 16);
        assertThat(sizes.max()).isEqualTo(16);
        assertThat(sizes.events()).singleElement()
                .hasToString("capture sizes: size 128 dropped: it is above maxNumBatchedTokens = 64");
    }

    @Test
    void aMaximumBetweenTwoSizesIsLoweredWithAnEvent() {
        CaptureSizes sizes = derive(GraphConfig.builder(2048, 128).maxCaptureSize(257));
        assertThat(sizes.max()).isEqualTo(256);
        assertThat(sizes.events()).singleElement().asString().contains("maxCaptureSize 257 lowered to 256");
        assertThat(derive(GraphConfig.builder(2048, 128).maxCaptureSize(256)).events()).isEmpty();
    }

    @Test
    void refusesWhatCannotBeRecorded() {
        assertThatThrownBy(() -> derive(GraphConfig.builder(64, 8).maxCaptureSize(0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("greater than or equal to 1");
        assertThatThrownBy(() -> derive(GraphConfig.builder(64, 8).captureSizes(List.of())))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("at least one");
        assertThatThrownBy(() -> derive(GraphConfig.builder(64, 8).captureSizes(List.of(65, 100))))
                .hasMessageContaining("at least one")
                .hasMessageContaining("[65, 100]");
        assertThatThrownBy(() -> derive(GraphConfig.builder(64, 8).captureSizes(List.of(8, 100)).maxCaptureSize(100)))
                .hasMessageContaining("maxCaptureSize = 100 should be consistent with the max value")
                .hasMessageContaining("8");
        assertThatThrownBy(() -> GraphConfig.builder(64, 8).captureSizes(List.of(0)).build())
                .hasMessageContaining("captureSizes must be >= 1, was 0");
        assertThatThrownBy(() -> GraphConfig.builder(64, 0).build()).hasMessageContaining("maxNumSeqs");
        assertThatThrownBy(() -> GraphConfig.builder(0, 8).build()).hasMessageContaining("maxNumBatchedTokens");
        assertThatThrownBy(() -> GraphConfig.builder(8, 8).queryLength(0).build()).hasMessageContaining("queryLength");
    }

    @Test
    void graphsOffRecordsNothingWhateverIsGiven() {
        CaptureSizes sizes =
                derive(GraphConfig.builder(64, 8).mode(GraphMode.NONE).captureSizes(List.of(4)).maxCaptureSize(0));
        assertThat(sizes).isEqualTo(CaptureSizes.none());
        assertThat(sizes.max()).isZero();
    }

    @Test
    void roundsUpToWholeRequests() {
        CaptureSizes rounded = CaptureSizes.of(List.of(1, 2, 4, 8)).roundedTo(3);
        assertThat(rounded.sizes()).containsExactly(3, 6);
        assertThat(rounded.events()).singleElement().asString().contains("[1, 2, 4, 8] rounded to [3, 6]", "3 tokens");
        assertThat(CaptureSizes.of(List.of(3, 6)).roundedTo(3).events()).isEmpty();
        assertThat(CaptureSizes.of(List.of(4)).roundedTo(3).sizes()).containsExactly(3);
        assertThat(CaptureSizes.none().roundedTo(3)).isEqualTo(CaptureSizes.none());
        assertThatThrownBy(() -> CaptureSizes.of(List.of(1, 2)).roundedTo(3))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("No valid capture sizes after rounding to multiples of the query length 3");
    }

    @Test
    void compileSizesMayNameTheCaptureSizes() {
        CaptureSizes captured = CaptureSizes.of(List.of(1, 8));
        assertThat(CompileSizes.parse(List.of("16", "cudagraph_capture_sizes", "8"), captured))
                .containsExactly(1, 8, 16);
        assertThat(CompileSizes.parse(List.of("cudagraph_capture_sizes"), CaptureSizes.none())).isEmpty();
        for (String word : List.of("0", "-4", "all", "")) {
            assertThatThrownBy(() -> CompileSizes.parse(List.of(word), captured))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("found \"" + word + "\"");
        }
    }
}
