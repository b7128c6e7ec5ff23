import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/** Measures Jlama: DIRECTORY THREADS PROMPT DECODE FORMAT. Activations are f32 in memory and int8 in products of Q4 weights. */
class JlamaPeer {
    public static void main(String[] args) throws IOException {
        DType format = DType.valueOf(args[4]);
        boolean quantized = format == DType.Q4;
        Path directory = quantized ? quantized(Path.of(args[0]), format) : Path.of(args[0]);
        AbstractModel model = ModelSupport.loadModel(directory.toFile(), null, DType.F32, quantized ? DType.I8 : DType.BF16,
                Optional.empty(), Optional.of(Integer.parseInt(args[1])));
        int prompt = Integer.parseInt(args[2]);
        int decode = Integer.parseInt(args[3]);
        double prefill = 0;
        for (int i = 0; i < 3; i++) { // the first is the compiler's warm-up
            long start = System.nanoTime();
            List<Long> times = generate(model, prompt, 1);
            prefill = Math.max(prefill, prompt * 1e9 / (times.get(0) - start));
        }
        List<Long> times = generate(model, 1, decode + 1);
        int steps = times.size() - 1;
        System.out.printf("%n{\"prefill\": %.3f, \"decode\": %.3f}%n", prefill, steps * 1e9 / (times.get(steps) - times.get(0)));
    }

    /** A quantized copy beside the directory, made once. */
    private static Path quantized(Path directory, DType format) throws IOException {
        Path copy = directory.resolveSibling(directory.getFileName() + "-" + format);
        if (!Files.exists(copy)) {
            Path part = directory.resolveSibling(directory.getFileName() + "-" + format + "-" + ProcessHandle.current().pid());
            SafeTensorSupport.quantizeModel(directory, format, new String[0], new String[0], Optional.of(part));
            Files.move(part, copy);
        }
        return copy;
    }

    /** When each token came. */
    private static List<Long> generate(AbstractModel model, int prompt, int tokens) {
        List<Long> times = new ArrayList<>();
        model.generate(UUID.randomUUID(), PromptContext.of("a".repeat(prompt)), 0, prompt + tokens,
                (text, seconds) -> times.add(System.nanoTime()));
        return times;
    }
}
