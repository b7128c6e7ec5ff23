package dev.intarsia.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Set;
import java.util.SequencedMap;
import org.junit.jupiter.api.Test;

class ArtifactKeyTest {
    private static final ArtifactKey KEY = ArtifactKey.of("p", "(1, 8)").with("precision", "bf16").with("threads", 8);

    @Test
    void keepsItsFactorsInOrder() {
        assertThat(KEY.factors().sequencedKeySet()).containsExactly("piece", "range", "precision", "threads");
        assertThat(KEY.with("precision", "f32")).hasToString("piece=p, range=(1, 8), precision=f32, threads=8");
        assertThat(KEY.piece()).isEqualTo("p");
        assertThat(KEY.range()).isEqualTo("(1, 8)");
    }

    @Test
    void theOrderOfFactorsDoesNotCount() {
        ArtifactKey other = ArtifactKey.of("p", "(1, 8)").with("threads", 8).with("precision", "bf16");
        assertThat(other).isEqualTo(KEY);
        assertThat(other.hash()).isEqualTo(KEY.hash()).matches("[0-9a-f]{64}");
    }

    @Test
    void whatDiffersAnywhereHasAnotherHash() {
        List<ArtifactKey> keys = List.of(
                KEY,
                KEY.with("threads", 9),
                KEY.with("precision", ""),
                KEY.with("more", ""),
                KEY.with("piece", "p2"),
                KEY.with("range", "(1, 9)"),
                ArtifactKey.of("p", "(1, 8)").with("precision", "bf16threads8"),
                ArtifactKey.of("p", "(1, 8)").with("precision", "bf1").with("6threads", "8"),
                ArtifactKey.of("p", "(1, 8)").with("precision", "bf16t").with("hreads", "8"));
        Set<String> hashes = new HashSet<>();
        keys.forEach(key -> hashes.add(key.hash()));
        assertThat(hashes).hasSameSizeAs(keys);
    }

    @Test
    void doesNotChangeWithTheMapItWasMadeFrom() {
        SequencedMap<String, String> factors = new LinkedHashMap<>(KEY.factors());
        ArtifactKey key = new ArtifactKey(factors);
        factors.put("threads", "1");
        assertThat(key).isEqualTo(KEY);
        assertThatThrownBy(() -> key.factors().put("threads", "1")).isInstanceOf(UnsupportedOperationException.class);
    }

    @Test
    void refusesWhatCannotBeAKey() {
        SequencedMap<String, String> rangeOnly = new LinkedHashMap<>();
        rangeOnly.put("range", "(1, 1)");
        assertThatThrownBy(() -> new ArtifactKey(rangeOnly))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("piece");
        assertThatThrownBy(() -> KEY.with(" ", "x")).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> KEY.with("cpu", "\ud800"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("cpu");
        String longest = "x".repeat(ArtifactKey.MAX_CHARACTERS - KEY.toString().length());
        assertThat(KEY.with("cpu", longest).factors()).hasSize(5);
        assertThatThrownBy(() -> KEY.with("cpu", "x".repeat(ArtifactKey.MAX_CHARACTERS)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("65536");
    }
}
