package dev.intarsia.cli;

import java.util.Arrays;
import java.util.List;
import picocli.CommandLine.ITypeConverter;

/**
 * The value of an option that takes names separated by commas, blanks around them left out.
 *
 * @param values as given; none for an empty text
 */
record Names(List<String> values) {

    Names {
        values = List.copyOf(values);
    }

    static final class Converter implements ITypeConverter<Names> {
        @Override
        public Names convert(String text) {
            return new Names(
                    text.isBlank() ? List.of() : Arrays.stream(text.split(",", -1)).map(String::strip).toList());
        }
    }
}
