package dev.intarsia.engine;

import java.util.List;

/**
 * Finds stop strings in a text that comes piece by piece. Of all that it was given it passes on what no stop string
 * can begin in. Used by one thread.
 */
final class StopStrings {
    private final List<String> stops;
    private final boolean included;
    private final StringBuilder held = new StringBuilder();
    private int unsearched; // of what is held, chars at the beginning in which no stop string may end
    private String found;

    /**
     * @param stops    none of them empty
     * @param included whether the stop string is part of the text
     */
    StopStrings(List<String> stops, boolean included) {
        this.stops = stops;
        this.included = included;
    }

    /**
     * The text that is certain now. Where a stop string ends in the piece, it is what comes before the one that begins
     * first (of those the longest), and that one itself if it is to be included.
     *
     * @param counts whether a stop string may end in this piece
     */
    String append(String piece, boolean counts) {
        held.append(piece);
        if (!counts) {
            unsearched = held.length();
            return pass(held.length() - partial());
        }
        int at = -1;
        for (String stop : stops) {
            int begin = held.indexOf(stop, Math.max(0, unsearched - stop.length() + 1));
            if (begin >= 0 && (at < 0 || begin < at || begin == at && stop.length() > found.length())) {
                at = begin;
                found = stop;
            }
        }
        return pass(at < 0 ? held.length() - partial() : included ? at + found.length() : at);
    }

    /** The stop string that was found; null as long as there is none. */
    String found() {
        return found;
    }

    /** What is held back, if the text ends here. */
    String finish() {
        return pass(held.length());
    }

    private String pass(int count) {
        String text = held.substring(0, count);
        held.delete(0, count);
        unsearched = Math.max(0, unsearched - count);
        return text;
    }

    /** Chars at the end of what is held that a stop string may begin with. */
    private int partial() {
        int most = 0;
        for (String stop : stops) {
            for (int length = Math.min(stop.length() - 1, held.length()); length > most; length--) {
                if (endsWith(stop, length)) {
                    most = length;
                }
            }
        }
        return most;
    }

    private boolean endsWith(String stop, int length) {
        int from = held.length() - length;
        for (int i = 0; i < length; i++) {
            if (held.charAt(from + i) != stop.charAt(i)) {
                return false;
            }
        }
        return true;
    }
}
