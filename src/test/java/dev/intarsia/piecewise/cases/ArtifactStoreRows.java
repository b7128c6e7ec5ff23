package dev.intarsia.piecewise.cases;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.artifact.ArtifactKey;
import dev.intarsia.artifact.ArtifactStore;
import dev.intarsia.artifact.Lookup;
import dev.intarsia.artifact.StoreContents;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/** Group {@code artifact_store}: inserts of (piece, range, bytes) into a store → entries and distinct artifacts. */
final class ArtifactStoreRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        try {
            Path directory = Files.createTempDirectory("artifacts");
            try {
                return answer(row, directory);
            } finally {
                delete(directory);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Map<String, Object> answer(CaseRow row, Path directory) {
        ArtifactStore store = ArtifactStore.open(directory);
        Map<ArtifactKey, String> inserted = new LinkedHashMap<>();
        for (JsonNode insert : row.node("insert")) {
            ArtifactKey key = ArtifactKey.of(insert.get(0).stringValue(), insert.get(1).stringValue());
            String data = insert.get(2).stringValue();
            assertThat(store.put(key, data.getBytes(StandardCharsets.UTF_8))).isTrue();
            inserted.put(key, data);
        }
        // what another process would see
        ArtifactStore reader = ArtifactStore.open(directory);
        inserted.forEach((key, data) -> assertThat(reader.find(key)).isInstanceOfSatisfying(
                Lookup.Hit.class, hit -> assertThat(hit.bytes()).asString(StandardCharsets.UTF_8).isEqualTo(data)));
        StoreContents contents = reader.contents();
        return Map.of("entries", contents.entries(), "artifacts", contents.artifacts());
    }

    private static void delete(Path directory) throws IOException {
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }
}
