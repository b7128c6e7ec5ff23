import de.kherud.llama.InferenceParameters;
import de.kherud.llama.LlamaModel;
import de.kherud.llama.LlamaOutput;
import de.kherud.llama.ModelParameters;
import java.util.ArrayList;
import java.util.List;

/** Measures de.kherud:llama: GGUF THREADS PROMPT DECODE. */
class KherudPeer {
    public static void main(String[] args) {
        int threads = Integer.parseInt(args[1]);
        int prompt = Integer.parseInt(args[2]);
        int decode = Integer.parseInt(args[3]);
        ModelParameters parameters = new ModelParameters()
                .setModel(args[0]).setThreads(threads).setThreadsBatch(threads).setCtxSize(prompt + decode + 64);
        try (LlamaModel model = new LlamaModel(parameters)) {
            double prefill = 0;
            for (int i = 0; i < 3; i++) {
                long start = System.nanoTime();
                prefill = Math.max(prefill, prompt * 1e9 / (generate(model, prompt, 1).get(0) - start));
            }
            List<Long> times = generate(model, 1, decode + 1);
            int steps = times.size() - 1;
            System.out.printf("%n{\"prefill\": %.3f, \"decode\": %.3f}%n", prefill, steps * 1e9 / (times.get(steps) - times.get(0)));
            System.out.flush();
            Runtime.getRuntime().halt(0); // closing the model does not always return
        }
    }

    /** When each token came. */
    private static List<Long> generate(LlamaModel model, int prompt, int tokens) {
        List<Long> times = new ArrayList<>();
        InferenceParameters parameters = new InferenceParameters("a".repeat(prompt))
                .setNPredict(tokens).setTemperature(0).setIgnoreEos(true).setCachePrompt(false);
        for (LlamaOutput output : model.generate(parameters)) {
            times.add(System.nanoTime());
        }
        return times;
    }
}
