package dev.intarsia.inspect;

import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.runtime.Dimension;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Numbers as people read them. */
public final class Words {
    private static final int LEAST_RUN = 4;
    private static final String[] BINARY = {"B", "KiB", "MiB", "GiB", "TiB"};
    private static final String[] DECIMAL = {"", " k", " M", " G", " T"};

    private Words() {}

    /** {@code 1.5 MiB}. */
    public static String bytes(long bytes) {
        return scaled(bytes, 1024, BINARY, " ");
    }

    /** {@code 1.57 M}. */
    public static String count(long count) {
        return scaled(count, 1000, DECIMAL, "");
    }

    private static String scaled(long value, int base, String[] units, String gap) {
        int unit = 0;
        double scaled = value;
        while (scaled >= base && unit < units.length - 1) {
            scaled /= base;
            unit++;
        }
        if (unit == 0) {
            return value + gap + units[unit];
        }
        return String.format(Locale.ROOT, scaled < 10 ? "%.2f" : "%.1f", scaled) + gap + units[unit];
    }

    /** {@code 1 piece}, {@code 2 pieces}, {@code 3 classes}. */
    public static String plural(long count, String noun) {
        return count + " " + noun + (count == 1 ? "" : noun.endsWith("s") ? "es" : "s");
    }

    /** {@code tokens} or {@code rows}. */
    public static String of(Dimension dimension) {
        return dimension.name().toLowerCase(Locale.ROOT);
    }

    /** Ascending numbers, with equal steps drawn together: {@code 1, 2, 4, 8..128 by 8}. */
    public static String list(List<Integer> numbers) {
        List<String> parts = new ArrayList<>();
        for (int i = 0; i < numbers.size(); ) {
            int end = i + 1;
            int step = end < numbers.size() ? numbers.get(end) - numbers.get(i) : 0;
            while (end < numbers.size() && numbers.get(end) - numbers.get(end - 1) == step) {
                end++;
            }
            if (end - i >= LEAST_RUN) {
                parts.add(numbers.get(i) + ".." + numbers.get(end - 1) + (step == 1 ? "" : " by " + step));
                i = end;
            } else {
                parts.add(String.valueOf(numbers.get(i)));
                i++;
            }
        }
        return String.join(", ", parts);
    }

    /** {@code exactly 8} or {@code 9..64}. */
    public static String sizes(Entry entry) {
        return entry.exact() ? "exactly " + entry.lo() : entry.lo() + ".." + entry.hi();
    }

    /** What an entry of a class serves: {@code exactly 1 token}, {@code 9..64 rows} or {@code all sizes}. */
    public static String sizes(PieceClass of, Entry entry) {
        if (of.kind() != Kind.PLAIN && of.frozen() == 0) {
            return "all sizes";
        }
        String unit = of(of.dimension());
        return sizes(entry) + " " + (entry.hi() == 1 ? unit.substring(0, unit.length() - 1) : unit);
    }

    /** Names of ops, repeated ones counted: {@code rms_norm, linear × 3}. */
    public static String ops(List<String> ops) {
        List<String> names = ops.stream().map(Words::op).toList();
        return String.join(", ", names.stream().distinct().map(name -> {
            long times = names.stream().filter(name::equals).count();
            return times == 1 ? name : name + " × " + times;
        }).toList());
    }

    /** The name of an op: {@code %4 = rms_norm %1 …} is {@code rms_norm}. */
    public static String op(String line) {
        String rest = line.substring(line.startsWith("%") ? line.indexOf('=') + 2 : 0);
        int end = rest.indexOf(' ');
        return end < 0 ? rest : rest.substring(0, end);
    }
}
