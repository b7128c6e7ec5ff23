package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.ObjectNode;

class ModelConfigTest {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final RopeConfig PLAIN = new RopeConfig(10_000, "default", 1, 0, 0, 0, 1);

    private static final String LLAMA = """
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100, "hidden_size": 64,
             "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 8,
             "max_position_embeddings": 512}""";

    @TempDir
    private Path temp;

    /** The small llama configuration with the keys of a patch set; null removes one. */
    private ModelConfig read(String patch) throws IOException {
        ObjectNode json = (ObjectNode) JSON.readTree(LLAMA);
        json.setAll((ObjectNode) JSON.readTree(patch));
        return ModelConfig.read(Files.writeString(temp.resolve("config.json"), json.toString()));
    }

    static List<String> names() {
        return References.names().toList();
    }

    @ParameterizedTest
    @MethodSource("names")
    void bothLayoutsSayTheSame(String name) {
        Path directory = References.directory(name);
        assertThat(ModelConfig.read(directory.resolve("config.json")))
                .isEqualTo(ModelConfig.read(directory.resolve("config.v5.json")));
    }

    @Test
    void referencesAreReadInFull() {
        assertThat(ModelConfig.read(References.directory("llama3-ropescaled").resolve("config.v5.json")))
                .isEqualTo(new ModelConfig("LlamaForCausalLM", "llama", 512, 64, 160, 3, 4, 2, 32, 1e-5, 256, true,
                        false, false, "silu", new RopeConfig(500_000, "llama3", 8, 1, 4, 64, 1), OptionalInt.empty(),
                        List.of("full_attention", "full_attention", "full_attention"), OptionalInt.of(1), List.of(2),
                        Optional.empty()));
        assertThat(ModelConfig.read(References.directory("mistral-window").resolve("config.json")))
                .isEqualTo(new ModelConfig("MistralForCausalLM", "mistral", 512, 64, 160, 2, 8, 2, 16, 1e-5, 256, false,
                        false, false, "silu", PLAIN, OptionalInt.of(12),
                        List.of("sliding_attention", "sliding_attention"), OptionalInt.of(1), List.of(2),
                        Optional.empty()));
        ModelConfig qwen = ModelConfig.read(References.directory("qwen2-tied").resolve("config.json"));
        assertThat(qwen.headDim()).isEqualTo(16);
        assertThat(qwen.rope().theta()).isEqualTo(1e6);
        assertThat(qwen.slidingWindow()).isEmpty();
        assertThat(ModelConfig.read(References.directory("llama-linear-f32").resolve("config.json")).rope())
                .isEqualTo(new RopeConfig(10_000, "linear", 4, 0, 0, 0, 1));
    }

    @Test
    void absentKeysHaveTheDefaultsOfTheirFamily() throws IOException {
        ModelConfig llama = read("{}");
        assertThat(llama.numKvHeads()).isEqualTo(8);
        assertThat(llama.headDim()).isEqualTo(8);
        assertThat(llama.rmsNormEps()).isEqualTo(1e-6);
        assertThat(llama.tieWordEmbeddings()).isFalse();
        assertThat(llama.hiddenAct()).isEqualTo("silu");
        assertThat(llama.rope()).isEqualTo(PLAIN);
        assertThat(llama.bosTokenId()).isEmpty();
        assertThat(llama.eosTokenIds()).isEmpty();
        assertThat(llama.layerTypes()).hasSize(4).containsOnly(ModelConfig.FULL_ATTENTION);
        assertThat(read("{\"model_type\": \"gemma\"}").tieWordEmbeddings()).isTrue();
        assertThat(read("{\"model_type\": \"qwen3\"}").headDim()).isEqualTo(128);
        assertThat(read("{\"head_dim\": null, \"num_key_value_heads\": null}")).isEqualTo(llama);
        assertThat(read("{\"eos_token_id\": [5, 6], \"bos_token_id\": 0}").eosTokenIds()).containsExactly(5, 6);
    }

    @Test
    void windowsFollowTheFamily() throws IOException {
        assertThat(read("{\"model_type\": \"mistral\", \"sliding_window\": 9}").layerTypes())
                .containsOnly(ModelConfig.SLIDING_ATTENTION);
        assertThat(read("{\"model_type\": \"mistral\", \"sliding_window\": null}").slidingWindow()).isEmpty();
        assertThat(read("{\"model_type\": \"llama\", \"sliding_window\": 9}").slidingWindow()).isEmpty();
        assertThat(read("{\"model_type\": \"qwen2\", \"sliding_window\": 9, \"max_window_layers\": 1}").slidingWindow())
                .isEmpty();
        ModelConfig late = read("""
                {"model_type": "qwen2", "sliding_window": 9, "use_sliding_window": true, "max_window_layers": 3}""");
        assertThat(late.slidingWindow()).hasValue(9);
        assertThat(List.of(late.slides(0), late.slides(2), late.slides(3))).containsExactly(false, false, true);
        ModelConfig written = read("""
                {"sliding_window": 9, "layer_types": ["full_attention", "sliding_attention", "x", "x"]}""");
        assertThat(written.slides(1)).isTrue();
        assertThat(written.slidingWindow()).hasValue(9);
    }

    @Test
    void ropeIsReadInEveryLayout() throws IOException {
        RopeConfig llama3 = new RopeConfig(5e5, "llama3", 8, 1, 4, 64, 1);
        String numbers = "\"factor\": 8.0, \"low_freq_factor\": 1, \"high_freq_factor\": 4.0, "
                + "\"original_max_position_embeddings\": 64";
        assertThat(read("{\"rope_theta\": 500000, \"rope_scaling\": {\"type\": \"llama3\", " + numbers + "}}").rope())
                .isEqualTo(llama3);
        String v5 = "{\"rope_theta\": 500000.0, \"rope_type\": \"llama3\", " + numbers + "}";
        assertThat(read("{\"rope_parameters\": " + v5 + "}").rope()).isEqualTo(llama3);
        assertThat(read("{\"rope_parameters\": {\"full_attention\": " + v5 + ", \"sliding_attention\": " + v5 + "}}")
                .rope()).isEqualTo(llama3);
        assertThat(read("{\"rope_parameters\": {\"full_attention\": " + v5
                + ", \"sliding_attention\": {\"rope_theta\": 10000, \"rope_type\": \"default\"}}}").rope().type())
                .isEqualTo(RopeConfig.MIXED);
        assertThat(read("{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}}").rope().type())
                .isEqualTo("yarn");
        assertThat(read("{\"partial_rotary_factor\": 0.5}").rope().rotaryFraction()).isEqualTo(0.5);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '|', value = {
        "{\"hidden_size\": 0}; hidden_size is 0 but must be an integer from 1 to 1000000",
        "{\"hidden_size\": -64}; hidden_size is -64",
        "{\"hidden_size\": 1000001}; hidden_size is 1000001",
        "{\"hidden_size\": 64.5}; hidden_size is 64.5",
        "{\"hidden_size\": \"64\"}; hidden_size is \"64\"",
        "{\"hidden_size\": null}; hidden_size is missing",
        "{\"hidden_size\": 60}; hidden_size is 60 but must be a multiple of num_attention_heads, 8, where head_dim",
        "{\"vocab_size\": 99999999999999999999}; vocab_size is 99999999999999999999",
        "{\"num_hidden_layers\": 1025}; num_hidden_layers is 1025 but must be an integer from 1 to 1024",
        "{\"num_key_value_heads\": 3}; num_attention_heads is 8 but must be a multiple of num_key_value_heads, 3",
        "{\"num_key_value_heads\": 16}; must be a multiple of num_key_value_heads, 16",
        "{\"num_key_value_heads\": 0}; num_key_value_heads is 0",
        "{\"head_dim\": 7}; the head dimension is 7 but must be even",
        "{\"head_dim\": 1026}; head_dim is 1026 but must be an integer from 1 to 1024",
        "{\"head_dim\": 1024, \"num_attention_heads\": 1000000}; times num_attention_heads, 1000000",
        "{\"hidden_size\": 1000000, \"num_attention_heads\": 2}; the head dimension is 500000",
        "{\"rms_norm_eps\": 0}; rms_norm_eps is 0",
        "{\"rms_norm_eps\": 1e999}; rms_norm_eps is ",
        "{\"max_position_embeddings\": 0}; max_position_embeddings is 0",
        "{\"architectures\": []}; architectures names no architecture",
        "{\"architectures\": \"LlamaForCausalLM\"}; architectures is \"LlamaForCausalLM\" but must be a list",
        "{\"model_type\": null}; model_type is missing",
        "{\"tie_word_embeddings\": 1}; tie_word_embeddings is 1 but must be true or false",
        "{\"eos_token_id\": 100}; eos_token_id is 100 but must be an integer from 0 to 99",
        "{\"eos_token_id\": [1, -1]}; eos_token_id is -1",
        "{\"bos_token_id\": 100}; bos_token_id is 100",
        "{\"layer_types\": [\"full_attention\"]}; must be a list of num_hidden_layers, 4, names",
        "{\"layer_types\": [\"sliding_attention\", \"a\", \"b\", \"c\"]}; without sliding_attention where",
        "{\"layer_types\": [1, 2, 3, 4]}; layer_types is 1 but must be a string",
        "{\"sliding_window\": 0}; sliding_window is 0",
        "{\"rope_theta\": 0}; rope_theta is 0",
        "{\"rope_scaling\": 4}; rope_scaling is 4 but must be an object",
        "{\"rope_scaling\": {\"type\": 1}}; rope_scaling.type is 1",
        "{\"rope_scaling\": {\"type\": \"linear\"}}; rope_scaling.factor is missing",
        "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}}; rope_scaling.factor is 0",
        "{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 2}}; rope_scaling.low_freq_factor is missing",
    })
    void everyNumberIsBounded(String patch, String message) {
        assertThatThrownBy(() -> read(patch))
                .isInstanceOf(CheckpointException.class)
                .hasMessageStartingWith(temp.resolve("config.json") + ": ")
                .hasMessageContaining(message);
    }

    @Test
    void llama3FrequenciesMustBeInOrder() {
        assertThatThrownBy(() -> read("""
                {"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
                 "original_max_position_embeddings": 64}}"""))
                .hasMessageContaining("rope_scaling.high_freq_factor is 4 but must be above low_freq_factor, 4.0");
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '|', value = {
        "{\"architectures\": [\"Mamba\"]}; architecture \"Mamba\" is not supported; supported are LlamaForCausalLM, Q",
        "{\"quantization_config\": {\"quant_method\": \"gptq\"}}; the checkpoint is quantized (\"gptq\")",
        "{\"quantization_config\": {}}; the checkpoint is quantized (\"unnamed\")",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\"}}; type \"yarn\" is not supported; supported are default, linear",
        "{\"partial_rotary_factor\": 0.25}; partial_rotary_factor is 0.25",
        "{\"hidden_act\": \"gelu\"}; activation \"gelu\" is not supported; supported are silu",
        "{\"layer_types\": [\"linear_attention\", \"a\", \"a\", \"a\"]}; layer type \"linear_attention\"",
    })
    void whatCannotBeServedIsReadButRefused(String patch, String message) throws IOException {
        ModelConfig config = read(patch);
        assertThatThrownBy(() -> config.checkServable(Set.of("Qwen3ForCausalLM", "LlamaForCausalLM")))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining(message);
    }

    @ParameterizedTest
    @MethodSource("names")
    void theReferencesCanBeServed(String name) {
        ModelConfig config = ModelConfig.read(References.directory(name).resolve("config.json"));
        config.checkServable(Set.of("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"));
    }
}
