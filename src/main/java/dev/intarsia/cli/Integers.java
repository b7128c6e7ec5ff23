package dev.intarsia.cli;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * The value of an option that takes integers separated by commas. Blanks around them do not matter.
 *
 * @param values at least one, as given
 */
record Integers(List<Integer> values) {

    Integers {
        values = List.copyOf(values);
    }

    /** Numbers of tokens, each at least 1. */
    static final class Sizes implements ITypeConverter<Integers> {
        @Override
        public Integers convert(String text) {
            return parse(text, 1, "a size of at least 1");
        }
    }

    /** Token ids, each at least 0; the engine knows the highest. */
    static final class TokenIds implements ITypeConverter<Integers> {
        @Override
        public Integers convert(String text) {
            return parse(text, 0, "a token id");
        }
    }

    private static Integers parse(String text, int least, String what) {
        List<Integer> values = new ArrayList<>();
        for (String element : text.split(",", -1)) {
            try {
                values.add(Integer.parseInt(element.strip()));
            } catch (NumberFormatException e) {
                throw new TypeConversionException("'" + element + "' is not " + what);
            }
            if (values.getLast() < least) {
                throw new TypeConversionException("'" + element + "' is not " + what);
            }
        }
        return new Integers(values);
    }
}
