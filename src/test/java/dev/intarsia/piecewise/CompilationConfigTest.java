package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CompilationConfigTest {
    @Test
    void hasTheDocumentedDefaults() {
        CompilationConfig config = CompilationConfig.builder(2048).build();
        assertThat(config.mode()).isEqualTo(CompilationMode.PIECEWISE);
        assertThat(config.dynamicShapes()).isEqualTo(DynamicShapes.BACKED);
        assertThat(config.splittingOps()).containsExactly("attention");
        assertThat(config.compileSizes()).isEmpty();
        assertThat(config.ranges()).containsExactly(new CompileRange(1, 2048));
        assertThat(config.events()).isEmpty();
    }

    @Test
    void reportsEveryDroppedEndpoint() {
        CompilationConfig config = CompilationConfig.builder(64).endpoints(100, 64, 16, 1).build();
        assertThat(config.endpoints()).containsExactly(16, 64);
        assertThat(config.events()).extracting(CompilationEvent::subject).containsOnly("ranges");
        assertThat(config.events())
                .extracting(CompilationEvent::message)
                .satisfiesExactly(
                        message -> assertThat(message).contains("endpoint 100 dropped", "above", "64"),
                        message -> assertThat(message).contains("endpoint 64 dropped", "ends the last range"),
                        message -> assertThat(message).contains("endpoint 1 dropped"));
    }

    @Test
    void rejectsSizesBelowOne() {
        assertThatThrownBy(() -> CompilationConfig.builder(64).endpoints(8, -3).build())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("Invalid compile range endpoint: -3");
        assertThatThrownBy(() -> CompilationConfig.builder(0).build())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("maxNumBatchedTokens must be >= 1, was 0");
        assertThatThrownBy(() -> CompilationConfig.builder(64).compileSizes(4, 0).build())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("compileSizes must be >= 1, found 0");
    }

    @Test
    void compileSizesAreSortedAndDistinctAndMayExceedTheMaximum() {
        assertThat(CompilationConfig.builder(8).compileSizes(64, 4, 64).build().compileSizes()).containsExactly(4, 64);
    }

    @Test
    void onlyBackedShapesFreezeAndOnlyAtOneToken() {
        for (DynamicShapes shapes : DynamicShapes.values()) {
            CompilationConfig one = CompilationConfig.builder(1).dynamicShapes(shapes).build();
            CompilationConfig two = CompilationConfig.builder(2).dynamicShapes(shapes).build();
            assertThat(one.freezesTokens()).as("%s", shapes).isEqualTo(shapes == DynamicShapes.BACKED);
            assertThat(two.freezesTokens()).as("%s", shapes).isFalse();
        }
    }

    @Test
    void modeNoneHasNoRanges() {
        assertThat(CompilationConfig.builder(64).endpoints(8).mode(CompilationMode.NONE).build().ranges()).isEmpty();
    }

    @Test
    void laterChangesToAListDoNotReachTheConfig() {
        List<Integer> sizes = new ArrayList<>(List.of(4));
        CompilationConfig config = CompilationConfig.builder(64).compileSizes(sizes).build();
        sizes.add(8);
        assertThat(config.compileSizes()).containsExactly(4);
    }

    /** Every size from 1 to the maximum is in exactly one range, and each range ends where it should. */
    @Test
    void rangesPartitionTheSizes() {
        Random random = new Random(20250917);
        for (int round = 0; round < 300; round++) {
            int max = 1 + random.nextInt(200);
            List<Integer> endpoints = new ArrayList<>();
            for (int i = random.nextInt(6); i > 0; i--) {
                endpoints.add(1 + random.nextInt(250));
            }
            CompilationConfig config = CompilationConfig.builder(max).endpoints(endpoints).build();
            String what = "max " + max + ", endpoints " + endpoints;
            for (int n = 0; n <= max + 60; n++) {
                int size = n;
                long holders = config.ranges().stream().filter(range -> range.contains(size)).count();
                assertThat(holders).as("%s, size %d", what, n).isEqualTo(n >= 1 && n <= max ? 1 : 0);
                boolean ends = n == max || (n > 1 && n < max && endpoints.contains(n));
                assertThat(config.endpoints().contains(n)).as("%s, endpoint %d", what, n).isEqualTo(ends);
            }
            assertThat(config.events()).as(what).hasSize((int) endpoints.stream()
                    .filter(endpoint -> endpoint == 1 || endpoint >= max)
                    .count());
        }
    }
}
