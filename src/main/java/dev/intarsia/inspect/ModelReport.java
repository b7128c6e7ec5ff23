package dev.intarsia.inspect;

import dev.intarsia.EngineInfo;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.runtime.Dimension;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * What an engine is made of: the pieces of its graph, the executables that they share, the recordings and how steps are
 * dispatched. As it stood at one moment; immutable.
 *
 * @param engine      what it runs on
 * @param model       the shape of the model
 * @param pieces      of the cut graph, in the order in which they run: those over tokens, then those over rows
 * @param classes     of equal pieces, by their number; a class shares its executables
 * @param compilation what was compiled and recorded
 * @param steps       the steps that ran so far, by how and of which size; those of start-up do not count
 */
public record ModelReport(
        EngineInfo engine,
        ModelConfig model,
        List<Piece> pieces,
        List<PieceClass> classes,
        CompilationState compilation,
        List<Steps> steps) {

    public ModelReport {
        pieces = List.copyOf(pieces);
        classes = List.copyOf(classes);
        steps = List.copyOf(steps);
    }

    /**
     * One piece.
     *
     * @param index       in the cut graph
     * @param classId     of its class, {@link PieceClass#id()}
     * @param inputs      values that it reads from other pieces or from the step
     * @param outputs     values that later pieces read
     * @param weightBytes bytes of weights that one execution reads
     * @param flopsPerRow floating-point operations of its linear ops, 2 a multiply-add, for one row of its dimension
     */
    public record Piece(int index, int classId, int inputs, int outputs, long weightBytes, long flopsPerRow) {}

    /**
     * Equal pieces.
     *
     * @param id        number of the class
     * @param kind      how it is compiled
     * @param dimension what its sizes count
     * @param frozen    the size that the dimension is frozen to, 0 if it is symbolic
     * @param pieces    indices of its pieces
     * @param ops       of one of the pieces, in order: name, weights with their shapes, result, for people
     * @param entries   its executables, exact sizes first
     */
    public record PieceClass(
            int id,
            Kind kind,
            Dimension dimension,
            int frozen,
            List<Integer> pieces,
            List<String> ops,
            List<Entry> entries) {
        public PieceClass {
            pieces = List.copyOf(pieces);
            ops = List.copyOf(ops);
            entries = List.copyOf(entries);
        }

        /** The entry that serves a size: the exact one, else the range that contains it; empty if none does. */
        public Optional<Entry> entryFor(int size) {
            return entries.stream().filter(entry -> entry.lo() == size && entry.hi() == size).findFirst()
                    .or(() -> entries.stream().filter(entry -> entry.lo() <= size && size <= entry.hi()).findFirst());
        }

        /**
         * The kernels of an entry, with T or R where an exact size is baked in: what it has in common with others.
         */
        public List<String> kernelsOfAnySize(Entry entry) {
            if (!entry.exact()) {
                return entry.kernels();
            }
            String symbol = dimension == Dimension.TOKENS ? "T" : "R";
            Pattern baked = Pattern.compile("(^[a-z_+]+ |-> )\\[" + entry.lo() + "([,\\]])");
            return entry.kernels().stream()
                    .map(kernel -> kernel.startsWith("embedding")
                            ? kernel.replace("-> [" + entry.lo() + ",", "-> [" + symbol + ",")
                            : baked.matcher(kernel).replaceAll("$1[" + symbol + "$2"))
                    .toList();
        }
    }

    /** How a class is compiled. */
    public enum Kind {
        /** Ahead of time, for ranges and exact sizes; its pieces can be recorded by themselves. */
        PLAIN,
        /** At a splitting op: one executable for all sizes. */
        SPLITTING,
        /** A kernel for each op, one executable for all sizes: compilation NONE. */
        OP_BY_OP
    }

    /**
     * One executable.
     *
     * @param lo         smallest size that it serves
     * @param hi         largest size that it serves
     * @param kernels    kernel calls in order, for people
     * @param arenaBytes scratch of a step of {@code hi}
     */
    public record Entry(int lo, int hi, List<String> kernels, long arenaBytes) {
        public Entry {
            kernels = List.copyOf(kernels);
        }

        /** Whether it was compiled for one size. */
        public boolean exact() {
            return lo == hi;
        }
    }

    /**
     * Steps that ran alike.
     *
     * @param how     mode, padded size and reason
     * @param uniform whether every sequence had one token, as in decoding
     * @param count   how many
     */
    public record Steps(Dispatch how, boolean uniform, long count) {}

    /** The class of a piece. */
    public PieceClass classOf(Piece piece) {
        return classes.get(piece.classId());
    }

    /** Floating-point operations of the linear ops, 2 a multiply-add, for one token, without its logits. */
    public long flopsPerToken() {
        return flops(Dimension.TOKENS);
    }

    /** Floating-point operations of the linear ops for the logits of one row. */
    public long flopsPerRow() {
        return flops(Dimension.ROWS);
    }

    private long flops(Dimension dimension) {
        return pieces.stream()
                .filter(piece -> classOf(piece).dimension() == dimension)
                .mapToLong(Piece::flopsPerRow)
                .sum();
    }

    /** Bytes of weights that a step of one token with logits reads. */
    public long weightBytesPerStep() {
        return pieces.stream().mapToLong(Piece::weightBytes).sum();
    }

    /** Number of executables of plain classes: what {@code compilations} counts, unless some were loaded. */
    public int executables() {
        return classes.stream()
                .filter(each -> each.kind() == Kind.PLAIN)
                .mapToInt(each -> each.entries().size())
                .sum();
    }
}
