package dev.intarsia.artifact;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What an artifact was made from and for, as named factors: everything whose change makes another artifact, e.g. the
 * piece, the range, the precision, the build of the native library, the processor, the number of threads. Sizes and
 * modes of recordings are no factors: they change no code.
 *
 * <p>Keys are equal when they have the same factors with the same values; their order is for readers. Immutable.
 *
 * @param factors values by name, {@link #PIECE} and {@link #RANGE} among them
 */
public record ArtifactKey(SequencedMap<String, String> factors) {
    /** The factor that tells pieces apart, as a rule a hash of the piece as text. */
    public static final String PIECE = "piece";

    /** The factor that holds the range of sizes as printed, e.g. {@code (1, 8)}. */
    public static final String RANGE = "range";

    /** Most characters of all names and values of a key together. */
    public static final int MAX_CHARACTERS = 65_536;

    /** Part of every hash: entries of another layout are never looked at. */
    private static final String LAYOUT = "intarsia artifact 1";

    /**
     * @throws IllegalArgumentException if the piece or the range is missing, a name is blank, there is too much text,
     *     or some of it is not Unicode
     */
    public ArtifactKey {
        SequencedMap<String, String> copy = new LinkedHashMap<>(factors);
        long characters = 0;
        for (Map.Entry<String, String> factor : copy.entrySet()) {
            String name = factor.getKey();
            if (name.isBlank()) {
                throw new IllegalArgumentException("a factor's name is blank; its value is " + factor.getValue());
            }
            utf8(name, name);
            utf8(name, factor.getValue());
            characters += (long) name.length() + factor.getValue().length();
            if (characters > MAX_CHARACTERS) {
                throw new IllegalArgumentException("factors hold more than " + MAX_CHARACTERS + " characters, up to "
                        + name);
            }
        }
        for (String needed : new String[] {PIECE, RANGE}) {
            if (!copy.containsKey(needed)) {
                throw new IllegalArgumentException("factors lack " + needed + ": " + copy.keySet());
            }
        }
        factors = Collections.unmodifiableSequencedMap(copy);
    }

    /** The key with these two factors alone, the piece as a hash of its text. */
    public static ArtifactKey ofPieceText(String text, Object range) {
        return of(Sha256.of(text.getBytes(StandardCharsets.UTF_8)).substring(0, 16), range);
    }

    /** The key with these two factors alone. */
    public static ArtifactKey of(String piece, Object range) {
        SequencedMap<String, String> factors = new LinkedHashMap<>();
        factors.put(PIECE, piece);
        factors.put(RANGE, range.toString());
        return new ArtifactKey(factors);
    }

    /** This key with one more factor, printed; a factor of that name is replaced where it stands. */
    public ArtifactKey with(String name, Object value) {
        SequencedMap<String, String> more = new LinkedHashMap<>(factors);
        more.put(name, value.toString());
        return new ArtifactKey(more);
    }

    public String piece() {
        return factors.get(PIECE);
    }

    public String range() {
        return factors.get(RANGE);
    }

    /** SHA-256 of the factors in the order of their names, 64 hexadecimal digits: names the entry in the store. */
    public String hash() {
        Sha256 hash = new Sha256();
        hash.addSized(LAYOUT.getBytes(StandardCharsets.UTF_8));
        new TreeMap<>(factors).forEach((name, value) -> {
            hash.addSized(utf8(name, name));
            hash.addSized(utf8(name, value));
        });
        return hash.hex();
    }

    private static byte[] utf8(String name, String text) {
        try {
            ByteBuffer bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
            byte[] copy = new byte[bytes.remaining()];
            bytes.get(copy);
            return copy;
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("factor " + name + " is not Unicode text", e);
        }
    }

    @Override
    public String toString() {
        return factors.entrySet().stream()
                .map(factor -> factor.getKey() + "=" + factor.getValue())
                .collect(Collectors.joining(", "));
    }
}
