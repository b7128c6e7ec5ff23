package dev.intarsia.fuzz;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/** Edits a file's bytes without knowing what they mean. */
final class ByteMutator {

    private static final List<byte[]> INSERTED = List.of(
            new byte[] {0}, new byte[] {(byte) 0xFF}, new byte[] {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF},
            new byte[] {(byte) 0xC0, (byte) 0x80}, new byte[] {(byte) 0xED, (byte) 0xA0, (byte) 0x80},
            new byte[] {(byte) 0xF5, (byte) 0x80, (byte) 0x80, (byte) 0x80}, new byte[] {(byte) 0xE2, (byte) 0x82},
            new byte[16], "}".getBytes(StandardCharsets.US_ASCII), "\n{}".getBytes(StandardCharsets.US_ASCII));

    private final RandomGenerator random;
    private final List<String> edits;

    ByteMutator(RandomGenerator random, List<String> edits) {
        this.random = random;
        this.edits = edits;
    }

    /**
     * The bytes with one more edit.
     *
     * @param head an edit is as likely within so many first bytes as behind them
     */
    byte[] mutate(String name, byte[] bytes, int head) {
        int within = random.nextBoolean() ? Math.min(head, bytes.length) : bytes.length;
        int at = within == 0 ? 0 : random.nextInt(within);
        int length = Math.min(bytes.length - at, 1 << random.nextInt(12));
        return switch (random.nextInt(9)) {
            case 0, 1, 2 -> {
                byte[] flipped = bytes.clone();
                int flips = bytes.length == 0 ? 0 : 1 + random.nextInt(8);
                for (int i = 0; i < flips; i++) {
                    int flip = i == 0 ? at : random.nextInt(within);
                    flipped[flip] ^= (byte) (1 << random.nextInt(8));
                }
                yield note(name, flips + " bits flipped from", at, flipped);
            }
            case 3 -> note(name, "cut off at", at, Arrays.copyOf(bytes, at));
            case 4 -> note(name, "gone " + length + " at", at, splice(bytes, at, length, new byte[0]));
            case 5 -> note(name, "inserted at", at, splice(bytes, at, 0, Hostile.pick(INSERTED, random)));
            case 6 -> note(name, "again " + length + " at", at,
                    splice(bytes, at, 0, Arrays.copyOfRange(bytes, at, at + length)));
            case 7 -> {
                byte[] noise = new byte[length];
                random.nextBytes(noise);
                yield note(name, "noise " + length + " at", at, splice(bytes, at, length, noise));
            }
            default -> switch (random.nextInt(4)) {
                case 0 -> note(name, "empty", 0, new byte[0]);
                case 1 -> {
                    byte[] noise = new byte[1 << random.nextInt(14)];
                    random.nextBytes(noise);
                    yield note(name, "all noise", noise.length, noise);
                }
                case 2 -> note(name, "zeros", bytes.length, new byte[bytes.length]);
                default -> note(name, "UTF-16", 0,
                        new String(bytes, StandardCharsets.ISO_8859_1).getBytes(StandardCharsets.UTF_16));
            };
        };
    }

    static byte[] splice(byte[] bytes, int at, int gone, byte[] inserted) {
        return ByteBuffer.allocate(bytes.length - gone + inserted.length)
                .put(bytes, 0, at)
                .put(inserted)
                .put(bytes, at + gone, bytes.length - at - gone)
                .array();
    }

    private byte[] note(String name, String what, int at, byte[] bytes) {
        edits.add(name + " " + what + " " + at);
        return bytes;
    }
}
