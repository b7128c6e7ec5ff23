package dev.intarsia.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PatternCheckTest {

    /** What the tokenizers of known model families use, or a little more than that. */
    @ParameterizedTest
    @ValueSource(strings = {
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|"
                + " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
                + "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|"
                + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|"
                + "'re|'ve|'m|'ll|'d)?|"
                + "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|"
                + "'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
                + " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t)?|"
                + "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{M}&&[^\\p{Han}]]*(?i:'s|'t)?|\\s+",
        "[一-龥ࠀ-一가-\\uD7FF]+", "\\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+", "\\s+$", "[\\r\\n]", "\\d{1,3}(?=(?:\\d{3}){0,1}\\b)",
        " ?[^(\\s|[.,!?…。，、।۔،])]+", "▁", "\\x{4E00}+?", "(?<=a)b", "a{3}", "\\x41\\u0042", "😀|\\{"
    })
    void patternsOfKnownTokenizersPass(String pattern) {
        assertThat(PatternCheck.complaint(pattern)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "(a|aa)+$; repeats a group",
        "(?:a+)+$; without end inside a group",
        "(?:a+)?b; without end inside a group",
        "(?:a|b){2,9}; repeats a group",
        "(?=a)*; repeats a group",
        "a*a*b; more than one endless repeat",
        "[\\s\\S]*[\\s\\S]*(?!); more than one endless repeat",
        "\\s+\\s+\\b; more than one endless repeat",
        "a{2,}a{0,500}b; more than one endless repeat",
        "a*b?c?d?e?f; too many ways",
        "a*(?:b|b|b|b|b|b|b|b|b)c; too many ways",
        "a*1|a*2|a*3|a*4|a*5|a*6|a*7|a*8|a*9; too many ways",
        "a?b?c?d?e?f?g?h?i?j?k?l?m?n?o?x; too many ways",
        "(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b; too many ways",
        "x*; can match the empty text",
        "\\x41*; can match the empty text",
        "\\u0041?; can match the empty text",
        "a|; can match the empty text",
        "(?:a|b?); can match the empty text",
        "^$; can match the empty text",
        "(?!a); can match the empty text",
        "(\\w)\\1; has \\1",
        "(?<n>a)\\k<n>; kind of group",
        "(?>a); kind of group",
        "(?i)a; kind of group",
        "(?~a); kind of group",
        "(*FAIL); kind of group",
        "\\R; has \\R",
        "\\X; has \\X",
        "\\Ka; has \\K",
        "a++; repeats a repeat",
        "a{1,3}+; repeats a repeat",
        "a{b; no repeat",
        "a{,3}; no repeat",
        "a{99999}; no repeat",
        "a{17,}|b; more than 16 times",
        "(a; unmatched (",
        "a); unmatched )",
        "[a; not closed",
        "[]; not closed",
        "[^]; not closed",
        "\\p{L; unmatched {",
        "*a; misplaced *",
        "\\; ends in a backslash",
        "\\x4; character number",
    })
    void unsafePatternsAreRefused(String pattern, String complaint) {
        assertThat(PatternCheck.complaint(pattern)).contains(complaint);
    }

    /** Each of these goes over a long run from each of its characters. */
    @ParameterizedTest
    @ValueSource(strings = {
        "a+b|.", "[^\\s]+x|\\s+", "\\s+(?!\\s)x|.", "a+b", "\\s+$|.", "a*b|.", "a{2,}b|.", "a+\\b|.", "a+(?=b)|.",
        "\\p{N}+,|\\p{N}", "a+bc*|.", "a+b?c|a", ".a+b|.", "a+b|a|a+", "a+b|a+?|a+", "a+b|a+?(?=a)|a+", "a+b|ca+",
        "a+b|a+c", "a+b|aa+", "a+b|a{2,}", "a+b|a+|a+c", "a+|a+b", "a+b|a{1,17}", "a+b|[a]+", "(?<!b)a+b|.",
        "(?=a)a+b|.", "..(?<!a)a+b|.", "[AB]*[ab]+|[ab]+[AB]*"
    })
    void runsGoneOverAgainAreRefused(String pattern) {
        assertThat(PatternCheck.complaint(pattern)).contains("sure to take the same run");
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "a+b|a+", "a*b|a+|.", "a+b|a+(?!b)|a+c|a{1,}", ".?a+b|.?a+c*", "(?:b)|a+(?=b)|a+", "(?<!a)a+b|.",
        "[AB]*[ab]+|[AB]+[ab]*", "a+b?", "a+?", "a{2,}"
    })
    void runsTakenAtOncePass(String pattern) {
        assertThat(PatternCheck.complaint(pattern)).isEmpty();
    }

    /** The library's matches of the two are compared through Java's, on all short texts of four characters. */
    @Test
    void spaceBeforeTheEndOfALineHasTheSameMatches() {
        Pattern original = Pattern.compile("\\s+$", Pattern.MULTILINE);
        Pattern linear = Pattern.compile(PatternCheck.linear("\\s+$"), Pattern.MULTILINE);
        assertThat(linear.pattern()).isNotEqualTo(original.pattern());
        for (int code = 0; code < 1 << 16; code++) {
            StringBuilder text = new StringBuilder();
            for (int rest = code | 1 << 16; rest > 1; rest >>= 2) {
                text.append(" \n\tx".charAt(rest & 3));
            }
            assertThat(spans(linear, text)).isEqualTo(spans(original, text));
        }
        assertThat(PatternCheck.linear("\\s+")).isEqualTo("\\s+");
    }

    private static String spans(Pattern pattern, CharSequence text) {
        return pattern.matcher(text).results().map(match -> match.start() + "-" + match.end()).toList().toString();
    }

    @Test
    void sizeIsBounded() {
        assertThat(PatternCheck.complaint("a".repeat(10_000))).contains("longer than");
        assertThat(PatternCheck.complaint("(".repeat(5_000))).contains("deep");
        assertThat(PatternCheck.complaint("[".repeat(5_000))).contains("deep");
    }
}
