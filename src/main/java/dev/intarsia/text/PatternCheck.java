package dev.intarsia.text;

/**
 * Decides whether a regular expression of a {@code tokenizer.json} is safe to run. The native library's backtracking
 * engine ends the whole process when one match takes more than 10 million steps, so only shapes whose steps grow at
 * most linearly with the text are let through; the patterns of the known model families have them:
 *
 * <ul>
 * <li>a group is repeated at most once ({@code ?}), and nothing inside a group is repeated without end;
 * <li>of the endless repeats of an alternative, at most one stands before the last part that may fail, so that going
 *     back over it is one pass;
 * <li>the ways to match what else there is are few: {@link #MAX_WAYS}, or {@link #MAX_PASSES} beside an endless repeat;
 * <li>no alternative matches the empty text; no references, recursion, conditions or switches.
 * </ul>
 */
final class PatternCheck {

    private static final int MAX_LENGTH = 8_192;
    private static final int MAX_DEPTH = 8;
    /** Bounded repeats beyond this count as endless. */
    private static final int MAX_BOUND = 16;
    private static final long MAX_WAYS = 10_000;
    /** Passes over the text for one match: {@code MAX_PASSES · Tokenizer.MAX_TEXT} stays below 10 million. */
    private static final long MAX_PASSES = 8;
    private static final int ENDLESS = Integer.MAX_VALUE;

    /** What a part of the pattern can do: match nothing, and match in this many ways without endless repeats. */
    private record Part(boolean empty, long ways, boolean assertion) {
    }

    /** Counts of a repeat. */
    private record Repeat(int min, int max) {
    }

    private static final class Refusal extends Exception {
        private static final long serialVersionUID = 1L;

        Refusal(String why) {
            super(why, null, false, false);
        }
    }

    private final String pattern;
    private int at;
    private long passes;

    private PatternCheck(String pattern) {
        this.pattern = pattern;
    }

    /** Why the pattern is not run, or an empty text if it may be. */
    static String complaint(String pattern) {
        if (pattern.length() > MAX_LENGTH) {
            return "is longer than " + MAX_LENGTH + " characters";
        }
        PatternCheck check = new PatternCheck(pattern);
        try {
            Part whole = check.alternatives(0);
            if (check.at < pattern.length()) {
                return "has an unmatched ) at " + check.at;
            }
            if (whole.empty) {
                return "can match the empty text";
            }
            return check.passes > MAX_PASSES || whole.ways > MAX_WAYS ? "can match in too many ways" : "";
        } catch (Refusal e) {
            return e.getMessage();
        }
    }

    private Part alternatives(int depth) throws Refusal {
        if (depth > MAX_DEPTH) {
            throw new Refusal("nests groups more than " + MAX_DEPTH + " deep");
        }
        boolean empty = false;
        long ways = 0;
        do {
            Part branch = branch(depth);
            empty |= branch.empty;
            ways += branch.ways;
        } while (eat("|"));
        return new Part(empty, ways, false);
    }

    private Part branch(int depth) throws Refusal {
        boolean empty = true;
        int endless = 0;        // repeats so far
        int endlessAgain = 0;   // those that a later failure runs again
        long ways = 1;
        long waysAgain = 1;
        while (at < pattern.length() && peek() != '|' && peek() != ')') {
            boolean group = peek() == '(';
            Part part = part(depth);
            Repeat repeat = repeat();
            if (group && repeat.max > 1 || part.assertion && repeat.max != 1) {
                throw new Refusal("repeats a group or an assertion");
            }
            boolean loops = repeat.max == ENDLESS;
            if (loops && depth > 0) {
                throw new Refusal("repeats without end inside a group");
            }
            if (!loops) {
                ways = Math.min(MAX_WAYS + 1, ways * (part.ways + repeat.max - repeat.min));
            }
            if (part.assertion || repeat.min > 0) {
                endlessAgain = endless;
                waysAgain = ways;
            }
            endless += loops ? 1 : 0;
            empty &= part.assertion || part.empty || repeat.min == 0;
        }
        if (endlessAgain > 1) {
            throw new Refusal("has more than one endless repeat before a part that may fail");
        }
        if (endlessAgain == 1) {
            passes += waysAgain;
        }
        return new Part(empty, ways, false);
    }

    private Part part(int depth) throws Refusal {
        char c = pattern.charAt(at++);
        return switch (c) {
            case '(' -> group(depth);
            case '[' -> characterClass(0);
            case '\\' -> escape();
            case '^', '$' -> new Part(true, 1, true);
            case '*', '+', '?', '{' -> throw new Refusal("has a misplaced " + c);
            default -> {
                if (Character.isHighSurrogate(c) && at < pattern.length()) {
                    at++;
                }
                yield new Part(false, 1, false);
            }
        };
    }

    private Part group(int depth) throws Refusal {
        boolean assertion = false;
        if (eat("?")) {
            assertion = eat("=") || eat("!") || eat("<=") || eat("<!");
            if (!assertion && !eat(":") && !eat("i:")) {
                throw new Refusal("has a kind of group that is not supported");
            }
        } else if (at < pattern.length() && peek() == '*') {
            throw new Refusal("has a kind of group that is not supported");
        }
        Part inside = alternatives(depth + 1);
        if (!eat(")")) {
            throw new Refusal("has an unmatched (");
        }
        return new Part(inside.empty, inside.ways, assertion);
    }

    private Part characterClass(int depth) throws Refusal {
        if (depth > MAX_DEPTH) {
            throw new Refusal("nests character classes more than " + MAX_DEPTH + " deep");
        }
        eat("^");
        boolean any = false;
        while (at < pattern.length()) {
            char c = pattern.charAt(at++);
            if (c == ']') {
                if (!any) {
                    break;
                }
                return new Part(false, 1, false);
            }
            any = true;
            if (c == '[') {
                characterClass(depth + 1);
            } else if (c == '\\') {
                escape();
            }
        }
        throw new Refusal("has a character class that is empty or not closed");
    }

    private Part escape() throws Refusal {
        if (at >= pattern.length()) {
            throw new Refusal("ends in a backslash");
        }
        char c = pattern.charAt(at++);
        if (c == 'b' || c == 'B' || c == 'A' || c == 'z' || c == 'Z') {
            return new Part(true, 1, true);
        }
        boolean braces = (c == 'p' || c == 'P' || c == 'x') && eat("{");
        if (braces) {
            int end = pattern.indexOf('}', at);
            if (end < 0) {
                throw new Refusal("has an unmatched {");
            }
            at = end + 1;
        } else if (c == 'x' || c == 'u') {
            skipHex(c == 'x' ? 2 : 4);
        } else if (Character.isLetterOrDigit(c) && "sSdDwWhHrntfve".indexOf(c) < 0) {
            throw new Refusal("has \\" + c + ", which is not supported");
        }
        return new Part(false, 1, false);
    }

    private void skipHex(int digits) throws Refusal {
        for (int end = at + digits; at < end; at++) {
            if (at >= pattern.length() || Character.digit(peek(), 16) < 0) {
                throw new Refusal("has a character number of less than " + digits + " digits");
            }
        }
    }

    private Repeat repeat() throws Refusal {
        Repeat repeat = new Repeat(1, 1);
        if (eat("?")) {
            repeat = new Repeat(0, 1);
        } else if (eat("*")) {
            repeat = new Repeat(0, ENDLESS);
        } else if (eat("+")) {
            repeat = new Repeat(1, ENDLESS);
        } else if (eat("{")) {
            repeat = bounds();
        } else {
            return repeat;
        }
        eat("?");   // lazy: the same ways in another order
        if (at < pattern.length() && "?*+{".indexOf(peek()) >= 0) {
            throw new Refusal("repeats a repeat");
        }
        return repeat;
    }

    private Repeat bounds() throws Refusal {
        int end = pattern.indexOf('}', at);
        String inside = end < 0 ? "" : pattern.substring(at, end);
        if (!inside.matches("\\d{1,4}(,\\d{0,4})?")) {
            throw new Refusal("has a { that is no repeat");
        }
        at = end + 1;
        String[] numbers = inside.split(",", 2);
        int min = Integer.parseInt(numbers[0]);
        int max = numbers.length == 1 ? min : numbers[1].isEmpty() ? ENDLESS : Integer.parseInt(numbers[1]);
        return new Repeat(min, max > MAX_BOUND ? ENDLESS : max);
    }

    private char peek() {
        return pattern.charAt(at);
    }

    private boolean eat(String text) {
        boolean there = pattern.startsWith(text, at);
        if (there) {
            at += text.length();
        }
        return there;
    }
}
