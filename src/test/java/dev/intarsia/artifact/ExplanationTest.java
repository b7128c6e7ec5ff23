package dev.intarsia.artifact;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExplanationTest {
    private static final ArtifactKey KEY = ArtifactKey.of("p1", "(1, 8)")
            .with("precision", "bf16")
            .with("build", "b1")
            .with("threads", 8);

    @TempDir
    private Path directory;

    private ArtifactStore store;

    @BeforeEach
    void open() {
        store = ArtifactStore.open(directory);
    }

    @Test
    void aHit() {
        store.put(KEY, new byte[48]);
        assertThat(store.explain(KEY)).isEqualTo("stored, 48 bytes");
    }

    @Test
    void nothingForThePiece() {
        assertThat(store.explain(KEY))
                .isEqualTo("no entry for piece p1 and range (1, 8); nothing is stored for this piece");
        store.put(KEY.with("piece", "p2"), new byte[1]);
        assertThat(store.explain(KEY))
                .isEqualTo("no entry for piece p1 and range (1, 8); nothing is stored for this piece");
    }

    @Test
    void otherRangesOfThePiece() {
        store.put(KEY.with("range", "(9, 64)"), new byte[1]);
        store.put(KEY.with("range", "(1, 16)"), new byte[1]);
        store.put(KEY.with("range", "(1, 16)").with("threads", 2), new byte[1]);
        assertThat(store.explain(KEY))
                .isEqualTo("no entry for piece p1 and range (1, 8); the piece is stored for (1, 16), (9, 64)");
    }

    @Test
    void whatDiffersInTheNearestEntry() {
        store.put(KEY.with("threads", 2).with("build", "b0").with("precision", "f32"), new byte[1]);
        assertThat(store.explain(KEY))
                .isEqualTo("the nearest entry for piece p1 and range (1, 8) differs in"
                        + " precision (stored f32, now bf16), build (stored b0, now b1), threads (stored 2, now 8)");
        store.put(KEY.with("build", "b0"), new byte[1]);
        store.put(KEY.with("piece", "p2").with("threads", 8), new byte[1]);
        assertThat(store.explain(KEY))
                .isEqualTo("the nearest entry for piece p1 and range (1, 8) differs in build (stored b0, now b1)");
    }

    @Test
    void factorsThatOnlyOneSideHas() {
        store.put(KEY.with("gpu", "sm_90"), new byte[1]);
        assertThat(store.explain(KEY)).endsWith("differs in gpu (stored sm_90, now nothing)");
        assertThat(store.explain(KEY.with("gpu", "sm_90").with("cpu", "avx2")))
                .endsWith("differs in cpu (stored nothing, now avx2)");
    }

    /** Damaged entries of others say nothing about this key, and keep nobody from being explained. */
    @Test
    void damagedNeighboursAreSkipped() throws IOException {
        store.put(KEY.with("threads", 2), new byte[1]);
        store.put(KEY.with("build", "b0"), new byte[1]);
        Files.write(directory.resolve("index").resolve(KEY.with("build", "b0").hash()), new byte[9]);
        Files.write(directory.resolve("index").resolve("stray"), new byte[9]);
        assertThat(store.explain(KEY)).endsWith("differs in threads (stored 2, now 8)");
        assertThat(store.contents().entries()).isEqualTo(1);
    }
}
