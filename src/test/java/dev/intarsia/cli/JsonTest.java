package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class JsonTest {

    /** Bit patterns of all kinds: sampled evenly, so denormals and both signs too, and the edges. */
    private static float[] floats() {
        float[] edges = {
            0f, -0f, Float.MIN_VALUE, -Float.MIN_VALUE, Float.MIN_NORMAL, Math.nextDown(Float.MIN_NORMAL),
            Float.MAX_VALUE, -Float.MAX_VALUE, 1f, Math.nextUp(1f), 0.1f, 1e10f, 16777216f, 2e-3f, 9.999999e-4f, 1e7f
        };
        float[] values = new float[200_000];
        Random random = new Random(7);
        for (int i = 0; i < values.length; i++) {
            float value = i < edges.length ? edges[i] : Float.intBitsToFloat(random.nextInt());
            values[i] = Float.isFinite(value) ? value : i;
        }
        return values;
    }

    /** Readers parse numbers as doubles, which are then rounded to floats: that must not cost a bit either. */
    @Test
    void logitsComeBackBitForBit() {
        float[] logits = floats();
        JsonNode array = JsonMapper.shared().readTree(LogitsCommand.toJson(logits)).get("logits");
        assertThat(array.size()).isEqualTo(logits.length);
        for (int i = 0; i < logits.length; i++) {
            String text = array.get(i).asString();
            int bits = Float.floatToRawIntBits(logits[i]);
            assertThat(Float.floatToRawIntBits((float) Double.parseDouble(text))).as(text).isEqualTo(bits);
            assertThat(Float.floatToRawIntBits(Float.parseFloat(text))).as(text).isEqualTo(bits);
        }
    }

    @Test
    void textIsEscapedAndOnOneLine() {
        String text = "a\n\"日\"\u0000\t\ud83d\ude00";
        String json = Json.object(members -> members.writeStringProperty("text", text));
        assertThat(json).doesNotContain("\n");
        assertThat(JsonMapper.shared().readTree(json).get("text").asString()).isEqualTo(text);
    }

    @Test
    void theObjectOfLogits() {
        assertThat(LogitsCommand.toJson(new float[] {1.5f, -0.1f})).isEqualTo("{\"logits\":[1.5,-0.1]}");
    }
}
