package dev.intarsia.fuzz;

import java.util.List;
import java.util.random.RandomGenerator;

/** Edits the text of a JSON file at one of its values, mostly so that it stays JSON. */
final class JsonMutator {

    private static final int MAX_LENGTH = 1 << 19;
    private static final int[] DEPTHS = {1, 2, 30, 62, 63, 64, 65, 66, 500, 1_000, 30_000};

    private final RandomGenerator random;
    private final List<String> edits;

    /** @param edits takes a few words on every edit */
    JsonMutator(RandomGenerator random, List<String> edits) {
        this.random = random;
        this.edits = edits;
    }

    /** The text with one more edit; as it is where it is no JSON any more. */
    String mutate(String name, String text) {
        JsonTree.Node root = JsonTree.parse(text);
        if (root == null) {
            return text;
        }
        JsonTree.Node node = pick(root);
        String value = text.substring(node.from(), node.to());
        String whole = text.substring(node.start(), node.to());
        return switch (random.nextInt(14)) {
            case 0, 1, 2 -> edit(name, "value", text, node.from(), node.to(), Hostile.value(random));
            case 3, 4 -> edit(name, "tweak", text, node.from(), node.to(), tweak(value));
            case 5 -> remove(name, text, node);
            case 6 -> edit(name, "twice", text, node.to(), node.to(), "," + whole);
            case 7 -> edit(name, "again", text, node.to(), node.to(),
                    "," + text.substring(node.start(), node.from()) + Hostile.value(random));
            case 8 -> {
                JsonTree.Node other = pick(root);
                yield edit(name, "copy", text, node.from(), node.to(), text.substring(other.from(), other.to()));
            }
            case 9 -> nest(name, text, node, value);
            case 10 -> node.isMember()
                    ? edit(name, "key", text, node.start(), node.from(), '"' + Hostile.key(random) + "\":")
                    : text;
            case 11, 12 -> edit(name, "more", text, node.to(), node.to(), ","
                    + (node.isMember() ? '"' + Hostile.key(random) + "\":" : "") + Hostile.value(random));
            default -> {
                int times = Math.min(1 << random.nextInt(14), MAX_LENGTH / (whole.length() + 8));
                StringBuilder more = new StringBuilder();
                for (int i = 0; i < times; i++) {
                    more.append(',').append(node.isMember() ? "\"" + i + "\":" : "").append(value);
                }
                yield edit(name, "repeat " + times, text, node.to(), node.to(), more.toString());
            }
        };
    }

    /** A value, rather one near the root: files are mostly long lists. */
    private JsonTree.Node pick(JsonTree.Node root) {
        JsonTree.Node node = root;
        while (!node.children().isEmpty() && (node == root || random.nextInt(5) > 0)) {
            node = Hostile.pick(node.children(), random);
        }
        return node;
    }

    /** Nearly the same value. */
    private String tweak(String value) {
        try {
            long number = Long.parseLong(value);
            return Long.toString(switch (random.nextInt(7)) {
                case 0 -> number + 1;
                case 1 -> number - 1;
                case 2 -> number * 2;
                case 3 -> number / 2;
                case 4 -> -number;
                case 5 -> number ^ 1L << random.nextInt(63);
                default -> number + (1L << 32);
            });
        } catch (NumberFormatException e) {
            int at = random.nextInt(value.length() + 1);
            String inserted = Hostile.pick(
                    List.of("x", " ", "\\", "\\u0000", "\u0000", "\"", "é", "\uD83D\uDE00", "\\ud83d", "\n", "0", "-",
                            ","),
                    random);
            int skip = random.nextBoolean() ? 0 : Math.min(1, value.length() - at);
            return value.substring(0, at) + inserted + value.substring(at + skip);
        }
    }

    private String remove(String name, String text, JsonTree.Node node) {
        int from = node.start();
        int to = node.to();
        int next = to;
        while (next < text.length() && Character.isWhitespace(text.charAt(next))) {
            next++;
        }
        int before = from - 1;
        while (before >= 0 && Character.isWhitespace(text.charAt(before))) {
            before--;
        }
        if (next < text.length() && text.charAt(next) == ',') {
            to = next + 1;
        } else if (before >= 0 && text.charAt(before) == ',') {
            from = before;
        }
        return edit(name, "gone", text, from, to, "");
    }

    private String nest(String name, String text, JsonTree.Node node, String value) {
        int depth = DEPTHS[random.nextInt(DEPTHS.length)];
        boolean closed = random.nextInt(8) > 0;
        return random.nextBoolean()
                ? edit(name, "nest [" + depth, text, node.from(), node.to(),
                        "[".repeat(depth) + value + (closed ? "]".repeat(depth) : ""))
                : edit(name, "nest {" + depth, text, node.from(), node.to(),
                        "{\"a\":".repeat(depth) + value + (closed ? "}".repeat(depth) : ""));
    }

    private String edit(String name, String what, String text, int from, int to, String replacement) {
        edits.add(name + "[" + from + "," + to + ") " + what + " " + shown(replacement));
        return text.substring(0, from) + replacement + text.substring(to);
    }

    private static String shown(String text) {
        String plain = text.codePoints()
                .limit(40)
                .map(c -> c < ' ' || c > '~' ? '?' : c)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                .toString();
        return plain.length() < text.length() ? plain + "… (" + text.length() + ")" : plain;
    }
}
