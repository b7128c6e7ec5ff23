package dev.intarsia;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What transformers computed in f32 for a checkpoint: {@code golden.json} beside it. */
public record Golden(List<Case> cases) {

    /**
     * One prompt.
     *
     * @param ids of the prompt
     * @param logitIds ids whose last-position logits are given
     * @param logits of those ids
     * @param greedy the continuation, end of sequence ignored
     * @param margins best minus second logit at each greedy step
     * @param text of the prompt, or null
     * @param greedyText of the continuation, or null
     */
    public record Case(
            List<Integer> ids,
            List<Integer> logitIds,
            List<Double> logits,
            List<Integer> greedy,
            List<Double> margins,
            String text,
            String greedyText) {

        /** Relative L2 error of these logits. */
        public double error(float[] actual) {
            double difference = 0;
            double norm = 0;
            for (int i = 0; i < logits.size(); i++) {
                double expected = logits.get(i);
                difference += Math.pow(actual[logitIds.get(i)] - expected, 2);
                norm += expected * expected;
            }
            return Math.sqrt(difference / norm);
        }

        /** Largest difference of one logit. */
        public double worst(float[] actual) {
            double worst = 0;
            for (int i = 0; i < logits.size(); i++) {
                worst = Math.max(worst, Math.abs(actual[logitIds.get(i)] - logits.get(i)));
            }
            return worst;
        }

        /** Greedy steps before the first whose margin an error of this size in each of two logits can bridge. */
        public int stepsBeyond(double logitError) {
            for (int i = 0; i < margins.size(); i++) {
                if (margins.get(i) <= 2 * logitError) {
                    return i;
                }
            }
            return margins.size();
        }
    }

    public static Golden of(Path model) {
        JsonNode root = JsonMapper.shared().readTree(model.resolve("golden.json"));
        List<Case> cases = new ArrayList<>();
        for (JsonNode row : root.get("cases")) {
            boolean shipped = row.has("prompt");
            List<Double> logits = doubles(row.get(shipped ? "top20_logits" : "last_logits"));
            cases.add(new Case(
                    ints(row.get("ids")),
                    shipped
                            ? ints(row.get("top20_ids"))
                            : java.util.stream.IntStream.range(0, logits.size()).boxed().toList(),
                    logits,
                    ints(row.get(shipped ? "greedy_48" : "greedy_24")),
                    doubles(row.get(shipped ? "margins" : "top2_margins")),
                    shipped ? row.get("prompt").asString() : null,
                    shipped ? row.get("greedy_text").asString() : null));
        }
        return new Golden(cases);
    }

    private static List<Integer> ints(JsonNode array) {
        List<Integer> values = new ArrayList<>();
        array.forEach(value -> values.add(value.asInt()));
        return values;
    }

    private static List<Double> doubles(JsonNode array) {
        List<Double> values = new ArrayList<>();
        array.forEach(value -> values.add(value.asDouble()));
        return values;
    }
}
