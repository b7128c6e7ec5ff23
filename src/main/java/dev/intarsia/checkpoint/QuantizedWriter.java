package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import dev.intarsia.Quantize;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes a checkpoint again with its matrices quantized, as one {@code model.safetensors}: a matrix as {@code NAME} of I8, or of U8 with two inputs in
 * each, and {@code NAME_scale}; vectors as they were; {@code config.json} with a {@code quantization_config} that names the format; every other file
 * copied. The directory appears when it is whole, or not at all.
 */
public final class QuantizedWriter {
    private static final String CONFIG = "config.json";

    private QuantizedWriter() {}

    /** Quantizes a matrix. */
    @FunctionalInterface
    public interface Quantizer {
        /** The values and scales of a matrix {@code [outputs, inputs]}; native memory that is valid until the next call. */
        QuantizedView quantize(TensorView matrix, long outputs, long inputs);
    }

    /**
     * Writes a directory.
     *
     * @param source  an unquantized checkpoint
     * @param shapes  the weights of the model, in order
     * @param format  INT8 or INT4
     * @param target  must not exist, or be an empty directory
     * @param writing told the name of each weight before it is written
     * @throws CheckpointException if the source is quantized or the target cannot be written; nothing of it is there then
     */
    public static void write(Checkpoint source, Map<String, long[]> shapes, Quantize format, Quantizer quantizer,
            Path target, Consumer<String> writing) {
        if (source.config().quantized() != Quantize.NONE) {
            throw new CheckpointException(source.directory() + " is quantized already, as "
                    + source.config().quantized() + "; name the checkpoint that it was made of");
        }
        Path absolute = target.toAbsolutePath().normalize();
        try {
            if (Files.exists(absolute) && !isEmptyDirectory(absolute)) {
                throw new CheckpointException(target + " exists and is not an empty directory; name a new one");
            }
            Files.createDirectories(absolute.getParent());
            Path part = Files.createTempDirectory(absolute.getParent(), absolute.getFileName() + ".part");
            try {
                CheckpointWriter.writeTensors(part.resolve("model.safetensors"), plan(source, shapes, format, quantizer, writing));
                copyTheRest(source.directory(), part);
                Files.writeString(part.resolve(CONFIG), config(source.directory().resolve(CONFIG), format));
                Files.move(part, absolute, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                remove(part);
            }
        } catch (DirectoryNotEmptyException | FileAlreadyExistsException e) {
            throw new CheckpointException(target + " appeared meanwhile and is not empty; name a new directory", e);
        } catch (IOException e) {
            throw new CheckpointException(target + ": cannot be written: " + e, e);
        }
    }

    private static List<CheckpointWriter.Planned> plan(Checkpoint source, Map<String, long[]> shapes, Quantize format,
            Quantizer quantizer, Consumer<String> writing) {
        List<CheckpointWriter.Planned> plan = new ArrayList<>();
        shapes.forEach((name, shape) -> {
            if (shape.length != 2) {
                DType type = source.tensor(name).dtype();
                plan.add(new CheckpointWriter.Planned(name, type, shape, () -> source.weight(name, shape).data()));
                return;
            }
            boolean int8 = format == Quantize.INT8;
            long outputs = shape[0];
            long inputs = shape[1];
            MemorySegment[] scales = new MemorySegment[1]; // made with the values, whose turn comes first
            plan.add(new CheckpointWriter.Planned(name, int8 ? DType.I8 : DType.U8,
                    new long[] {outputs, int8 ? inputs : Math.ceilDiv(inputs, 2)}, () -> {
                        writing.accept(name);
                        QuantizedView made = quantizer.quantize(source.weight(name, shape), outputs, inputs);
                        scales[0] = made.scales();
                        return made.values();
                    }));
            plan.add(new CheckpointWriter.Planned(name + QuantizedView.SCALE, int8 ? DType.F32 : DType.F16,
                    int8 ? new long[] {outputs} : new long[] {outputs, Math.ceilDiv(inputs, QuantizedView.GROUP)},
                    () -> scales[0]));
        });
        return plan;
    }

    private static String config(Path file, Quantize format) throws IOException {
        ObjectNode config = (ObjectNode) new JsonMapper().readTree(Files.readString(file, StandardCharsets.UTF_8));
        ObjectNode quantization = config.putObject("quantization_config");
        quantization.put("quant_method", ModelConfig.method(format));
        quantization.put("bits", format == Quantize.INT8 ? 8 : 4);
        if (format == Quantize.INT4) {
            quantization.put("group_size", QuantizedView.GROUP);
        }
        return config.toPrettyString() + "\n";
    }

    private static void copyTheRest(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                String name = file.getFileName().toString();
                if (!name.equals(CONFIG) && !name.endsWith(".safetensors") && !name.endsWith(".safetensors.index.json")) {
                    Files.copy(file, to.resolve(name));
                }
            }
        }
    }

    private static boolean isEmptyDirectory(Path directory) throws IOException {
        if (!Files.isDirectory(directory)) {
            return false;
        }
        try (Stream<Path> files = Files.list(directory)) {
            return files.findAny().isEmpty();
        }
    }

    private static void remove(Path directory) throws IOException {
        if (Files.isDirectory(directory)) {
            try (Stream<Path> files = Files.list(directory)) {
                for (Path file : files.toList()) {
                    Files.deleteIfExists(file);
                }
            }
            Files.delete(directory);
        }
    }
}
