package dev.intarsia.text;

import java.util.ArrayList;
import java.util.List;

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
 * <li>a run that such a repeat went over in vain is taken whole by a later alternative ({@link Alternative});
 * <li>no alternative matches the empty text; no references, recursion, conditions or switches.
 * </ul>
 */
final class PatternCheck {

    private static final int MAX_LENGTH = 8_192;
    private static final int MAX_DEPTH = 8;
    /** Bounded repeats beyond this count as endless. */
    private static final int MAX_BOUND = 16;
    private static final long MAX_WAYS = 1_000;
    /** Passes over the text for one match: {@code MAX_PASSES · Tokenizer.MAX_TEXT} stays below 10 million. */
    private static final long MAX_PASSES = 8;
    private static final int ENDLESS = Integer.MAX_VALUE;
    /** DeepSeek's pattern for space at the ends of lines goes over each run from each of its characters. */
    private static final String SPACE_BEFORE_END = "\\s+$";

    /** What a part of the pattern can do: match nothing, and match in this many ways without endless repeats. */
    private record Part(boolean empty, long ways, boolean assertion) {
    }

    /** Counts of a repeat; {@code greedy} if it has no upper bound at all and takes as many as it can. */
    private record Repeat(int min, int max, boolean greedy) {
    }

    /**
     * What an alternative does with runs of one class, here {@code X}. One that reads {@code P?X+R}, where {@code R}
     * may fail, costs a pass over the run from each place it is tried at. Where {@code X} takes as many as it can, it
     * matches up to the last place in the run that {@code R} follows, so it does so once a run; and where it fails, the
     * run must be gone over only once: a later alternative is to take all that is left of it, with nothing between them
     * that may match less, but others of this shape and the same {@code X}. {@code P}, a single character, adds one
     * place before the run.
     *
     * @param run   {@code X} as written, or empty if no such repeat is followed by what may fail
     * @param plain the shape is that above
     * @param takes {@code X} as written if the alternative is sure to match and to take all that is left of a run
     * @param at    where it is in the pattern
     */
    private record Alternative(String run, boolean plain, String takes, int at) {
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
    private final List<Alternative> alternatives = new ArrayList<>();

    private PatternCheck(String pattern) {
        this.pattern = pattern;
    }

    /**
     * The pattern to run in place of one: it has the same matches. A match of space before the end of a line reaches to
     * the last such end in its run, so that there is none that begins inside a run, and no need to look for it there.
     */
    static String linear(String pattern) {
        return pattern.equals(SPACE_BEFORE_END) ? "(?<!\\s)" + pattern : pattern;
    }

    /** Why the pattern, made {@link #linear}, is not run, or an empty text if it may be. */
    static String complaint(String original) {
        String pattern = linear(original);
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
            if (check.passes > MAX_PASSES || whole.ways > MAX_WAYS) {
                return "can match in too many ways";
            }
            return check.runsGoneOverAgain();
        } catch (Refusal e) {
            return e.getMessage();
        }
    }

    private String runsGoneOverAgain() {
        for (int i = 0; i < alternatives.size(); i++) {
            Alternative tried = alternatives.get(i);
            if (tried.run.isEmpty()) {
                continue;
            }
            int next = i + 1;
            while (next < alternatives.size() && !alternatives.get(next).takes.equals(tried.run)
                    && alternatives.get(next).plain && alternatives.get(next).run.equals(tried.run)) {
                next++;
            }
            if (!tried.plain || next == alternatives.size() || !alternatives.get(next).takes.equals(tried.run)) {
                return "repeats without end before a part that may fail, in the alternative at " + tried.at
                        + ", and no alternative after it is sure to take the same run at once";
            }
        }
        return "";
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
        int begin = at;
        boolean empty = true;
        int endless = 0;        // repeats so far
        int endlessAgain = 0;   // those that a later failure runs again
        long ways = 1;
        long waysAgain = 1;
        String run = "";        // what the latest of them repeats
        String runAgain = "";
        String before = "";     // the part before
        boolean plain = true;
        boolean plainAgain = true;
        int characters = 0;     // before the latest endless repeat
        int required = 0;
        String takes = "";
        while (at < pattern.length() && peek() != '|' && peek() != ')') {
            boolean group = peek() == '(';
            int from = at;
            Part part = part(depth);
            String text = pattern.substring(from, at);
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
                runAgain = run;
                plainAgain = plain;
                takes = required++ == 0 && repeat.min == 1 && repeat.greedy ? text : "";
            }
            if (loops) {
                endless++;
                plain = repeat.greedy && characters <= 1;
                run = characters <= 1 && before.equals("(?<!" + text + ")") ? "" : text;   // not tried inside a run
            } else if (endless == 0 && !part.assertion) {
                characters += group ? 2 : repeat.max;
            }
            before = text;
            empty &= part.assertion || part.empty || repeat.min == 0;
        }
        if (endlessAgain > 1) {
            throw new Refusal("has more than one endless repeat before a part that may fail");
        }
        if (endlessAgain == 1) {
            passes += waysAgain;
        }
        if (depth == 0) {
            alternatives.add(new Alternative(runAgain, plainAgain, takes, begin));
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
        Repeat repeat;
        if (eat("?")) {
            repeat = new Repeat(0, 1, false);
        } else if (eat("*")) {
            repeat = new Repeat(0, ENDLESS, true);
        } else if (eat("+")) {
            repeat = new Repeat(1, ENDLESS, true);
        } else if (eat("{")) {
            repeat = bounds();
        } else {
            return new Repeat(1, 1, false);
        }
        if (eat("?")) {   // lazy: the same ways in another order
            repeat = new Repeat(repeat.min, repeat.max, false);
        }
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
        if (min > MAX_BOUND) {
            throw new Refusal("repeats a part more than " + MAX_BOUND + " times at the least");
        }
        boolean open = numbers.length == 2 && numbers[1].isEmpty();
        int max = numbers.length == 1 ? min : open ? ENDLESS : Integer.parseInt(numbers[1]);
        return new Repeat(min, max > MAX_BOUND ? ENDLESS : max, open);
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
