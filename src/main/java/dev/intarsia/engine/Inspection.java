package dev.intarsia.engine;

import dev.intarsia.inspect.ModelReport;
import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.Piece;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.piecewise.RangeEntry;
import dev.intarsia.runtime.Executable;
import dev.intarsia.runtime.ExecutableInfo;
import dev.intarsia.runtime.Partition;
import dev.intarsia.runtime.PieceInfo;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Asks partition and executables what they are. Any thread may. */
final class Inspection {
    private final Partition partition;
    private final CompiledModel model;

    Inspection(Partition partition, CompiledModel model) {
        this.partition = partition;
        this.model = model;
    }

    List<Piece> pieces() {
        return stages()
                .map(stage -> {
                    PieceInfo info = partition.piece(stage.piece());
                    return new Piece(
                            stage.piece(),
                            info.classId(),
                            info.inputs(),
                            info.outputs(),
                            info.weightBytes(),
                            info.flopsPerRow());
                })
                .toList();
    }

    /** Each class as its first piece is: the others share its executables or have equal ones. */
    List<PieceClass> classes() {
        Map<Integer, List<CompiledModel.Stage>> classes = new LinkedHashMap<>();
        stages().forEach(stage -> classes
                .computeIfAbsent(partition.piece(stage.piece()).classId(), id -> new ArrayList<>())
                .add(stage));
        return classes.values().stream()
                .map(this::pieceClass)
                .sorted(Comparator.comparingInt(PieceClass::id))
                .toList();
    }

    private PieceClass pieceClass(List<CompiledModel.Stage> stages) {
        CompiledModel.Stage first = stages.getFirst();
        PieceInfo info = partition.piece(first.piece());
        return new PieceClass(
                info.classId(),
                first.compilable() ? Kind.PLAIN : info.splitting() ? Kind.SPLITTING : Kind.OP_BY_OP,
                info.dimension(),
                info.frozen(),
                stages.stream().map(CompiledModel.Stage::piece).toList(),
                ops(first.piece()),
                executables(first).map(Inspection::entry).toList());
    }

    private Stream<CompiledModel.Stage> stages() {
        return Stream.concat(model.tokenStages().stream(), model.rowStages().stream());
    }

    private static Stream<Executable> executables(CompiledModel.Stage stage) {
        return stage.compilable()
                ? stage.backend().entries().stream().map(RangeEntry::runnable).map(NativePieces.Compiled::executable)
                : Stream.of(stage.executable());
    }

    private static Entry entry(Executable executable) {
        ExecutableInfo info = executable.info();
        List<String> kernels = executable.describe().lines().skip(1).toList(); // the first line is a title
        return new Entry(info.lo(), info.hi(), kernels, info.arenaBytes());
    }

    /** The lines between the title and values that come in and those that go out. */
    private List<String> ops(int piece) {
        return partition.describe(piece).lines()
                .skip(1)
                .filter(line -> !line.startsWith("in ") && !line.startsWith("out "))
                .toList();
    }
}
