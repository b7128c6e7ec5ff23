package dev.intarsia.engine;

import dev.intarsia.text.Tokenizer;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Words that are not to come, as the tokens that they would come as. */
final class BadWords {
    private BadWords() {}

    /**
     * The token ids of both forms of each word: as it stands at the start of a text, and after a space.
     *
     * @throws IllegalArgumentException if a word has no tokens
     */
    static List<List<Integer>> tokens(List<String> words, Tokenizer tokenizer) {
        Set<List<Integer>> forms = new LinkedHashSet<>(); // the two can be the same
        for (String word : words) {
            String bare = word.stripLeading();
            List<Integer> first = ids(bare, tokenizer);
            if (first.isEmpty()) {
                throw new IllegalArgumentException("badWords has \"" + word + "\"; it must be words of one token at least");
            }
            forms.add(first);
            forms.add(ids(" " + bare, tokenizer));
        }
        return List.copyOf(forms);
    }

    private static List<Integer> ids(String text, Tokenizer tokenizer) {
        return Arrays.stream(tokenizer.encodeBare(text)).boxed().toList();
    }
}
