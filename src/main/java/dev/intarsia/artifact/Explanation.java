package dev.intarsia.artifact;

import dev.intarsia.artifact.StoreFiles.Listed;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** Why nothing is stored under a key: what is stored instead. */
final class Explanation {
    private Explanation() {}

    /** One sentence without a full stop, about a key that has no entry in {@code index}. */
    static String ofAbsence(ArtifactKey wanted, StoreFiles files) throws IOException {
        List<ArtifactKey> ofPiece = new ArrayList<>();
        for (Listed file : StoreFiles.list(files.index())) {
            try {
                ArtifactKey stored = StoreFiles.readEntry(file.path()).key();
                if (stored.piece().equals(wanted.piece())) {
                    ofPiece.add(stored);
                }
            } catch (IOException | DamagedException e) {
                continue; // gone meanwhile, half written, or no entry: nothing to compare with
            }
        }
        Optional<ArtifactKey> nearest = ofPiece.stream()
                .filter(stored -> stored.range().equals(wanted.range()))
                .min(Comparator.comparing((ArtifactKey stored) -> differing(wanted, stored).size())
                        .thenComparing(ArtifactKey::hash));
        return nearest.map(stored -> "the nearest entry for piece " + wanted.piece() + " and range " + wanted.range()
                        + " differs in " + differences(wanted, stored))
                .orElseGet(() -> "no entry for piece " + wanted.piece() + " and range " + wanted.range() + "; "
                        + others(ofPiece));
    }

    private static String others(List<ArtifactKey> ofPiece) {
        return ofPiece.isEmpty()
                ? "nothing is stored for this piece"
                : "the piece is stored for " + ofPiece.stream()
                        .map(ArtifactKey::range)
                        .collect(Collectors.toCollection(TreeSet::new))
                        .stream()
                        .collect(Collectors.joining(", "));
    }

    /** Each factor that differs, with both values: {@code threads (stored 8, now 4)}. */
    static String differences(ArtifactKey wanted, ArtifactKey stored) {
        return differing(wanted, stored).stream()
                .map(name -> name + " (stored " + value(stored, name) + ", now " + value(wanted, name) + ")")
                .collect(Collectors.joining(", "));
    }

    private static String value(ArtifactKey key, String name) {
        return key.factors().getOrDefault(name, "nothing");
    }

    /** Names in the order of the wanted key, then those that only the stored key has. */
    private static Set<String> differing(ArtifactKey wanted, ArtifactKey stored) {
        Set<String> names = new LinkedHashSet<>(wanted.factors().keySet());
        names.addAll(stored.factors().keySet());
        names.removeIf(name -> wanted.factors().containsKey(name)
                && wanted.factors().get(name).equals(stored.factors().get(name)));
        return names;
    }
}
