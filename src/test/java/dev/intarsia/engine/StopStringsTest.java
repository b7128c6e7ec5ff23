package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Stop strings in texts that come in pieces. */
class StopStringsTest {

    @Test
    void whatMayBecomeAStopStringIsHeldBackAndNothingElse() {
        StopStrings stops = new StopStrings(List.of("###", "\nUser:"), false);
        assertThat(stops.append("Hello #", true)).isEqualTo("Hello ");
        assertThat(stops.append("1", true)).isEqualTo("#1");
        assertThat(stops.append(" and\nUse", true)).isEqualTo(" and");
        assertThat(stops.append("r", true)).isEmpty();
        assertThat(stops.append("s:\n", true)).isEqualTo("\nUsers:");
        assertThat(stops.finish()).isEqualTo("\n");
        assertThat(stops.found()).isNull();
    }

    @Test
    void theTextEndsBeforeTheStopStringOrAfterIt() {
        StopStrings cut = new StopStrings(List.of("stop"), false);
        assertThat(cut.append("a st", true)).isEqualTo("a ");
        assertThat(cut.append("opped", true)).isEmpty();
        assertThat(cut.found()).isEqualTo("stop");
        StopStrings included = new StopStrings(List.of("stop"), true);
        assertThat(included.append("a st", true) + included.append("opped", true)).isEqualTo("a stop");
    }

    @Test
    void theOneThatBeginsFirstCounts() {
        StopStrings stops = new StopStrings(List.of("cd", "bcd", "b", "x"), false);
        assertThat(stops.append("abcdx", true)).isEqualTo("a");
        assertThat(stops.found()).isEqualTo("bcd");
    }

    @Test
    void beforeTheLeastNumberOfTokensNoneEnds() {
        StopStrings stops = new StopStrings(List.of("ab"), false);
        assertThat(stops.append("ab", false)).isEqualTo("ab");
        assertThat(stops.append("xa", false)).isEqualTo("x");
        assertThat(stops.append("bz", true)).as("it ends in a piece that counts").isEmpty();
        assertThat(stops.found()).isEqualTo("ab");
    }

    @Test
    void whateverThePiecesAreTheTextIsTheSame() {
        Random random = new Random(2);
        for (int round = 0; round < 3000; round++) {
            List<String> stops = List.of(word(random, 1 + random.nextInt(4)), word(random, 1 + random.nextInt(4)));
            boolean included = random.nextBoolean();
            String text = word(random, 30);
            StopStrings each = new StopStrings(stops, included);
            StringBuilder passed = new StringBuilder();
            for (int at = 0; at < text.length() && each.found() == null; ) {
                int end = Math.min(text.length(), at + 1 + random.nextInt(3));
                passed.append(each.append(text.substring(at, end), true));
                if (each.found() == null) {
                    for (String stop : stops) {
                        assertThat(passed.indexOf(stop)).as("leaked").isEqualTo(-1);
                    }
                }
                at = end;
            }
            if (each.found() == null) {
                passed.append(each.finish());
                assertThat(passed.toString()).isEqualTo(text);
            } else {
                int first = stops.stream().mapToInt(text::indexOf).filter(at -> at >= 0).min().orElseThrow();
                int end = text.indexOf(each.found()) + (included ? each.found().length() : 0);
                assertThat(passed.toString()).isEqualTo(text.substring(0, end));
                // A stop string that is longer may begin earlier and end later: what has come by then decides.
                assertThat(text.indexOf(each.found())).isGreaterThanOrEqualTo(first);
            }
        }
    }

    private static String word(Random random, int length) {
        StringBuilder word = new StringBuilder();
        for (int i = 0; i < length; i++) {
            word.append((char) ('a' + random.nextInt(3)));
        }
        return word.toString();
    }
}
