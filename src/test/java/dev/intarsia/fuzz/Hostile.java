package dev.intarsia.fuzz;

import java.util.List;
import java.util.random.RandomGenerator;

/** What a file may say that a reader did not expect. */
final class Hostile {

    private static final List<String> VALUES = List.of(
            "-1", "0", "-0", "-0.0", "0.5", "1.0", "1e0", "1e2", "0.1e1", "1e-20", "1e-45", "1e-400", "1e38",
            "3.5e38", "1e308", "-1e308", "1e309", "1e999999999", "-1e999999999", "2147483647", "2147483648",
            "-2147483649", "4294967295", "4294967296", "9007199254740993", "9223372036854775807",
            "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
            "18446744073709551616", "NaN", "Infinity", "-Infinity", "nan", "+1", "00", "01", "0x10", "1_000", ".5",
            "5.", "1e", "--1", "null", "true", "false", "True", "None", "undefined", "\"\"", "\"x\"", "\"0\"",
            "\"1\"", "\"true\"", "\"NaN\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\n\"",
            "\"\\r\\n\\u001b[31m\"", "\"\\u202e\"", "\"../x\"", "\"/etc/passwd\"", "\"a\\u0000b\"", "\"\\x\"",
            "\"unclosed", "[]", "{}", "[null]", "[[]]", "[0]", "[-1]", "[1,2]", "[1,2,3]", "[0,0]", "[1e308]",
            "[9223372036854775807,9223372036854775807]", "[4294967296,4294967296]", "[\"x\"]", "{\"\":null}",
            "{\"a\":1,\"a\":2}", "//x", "/*x*/1", "'x'", "x", "");

    private static final List<String> KEYS = List.of(
            "", "x", "__metadata__", "__proto__", "..", "../x", "\\u0000", "\\ud800", "\\n", "\\r\\n\\u001b[31m",
            "\\u202e", "type", "id", "ids", "content", "dtype", "shape", "data_offsets", "weight_map", "metadata",
            "architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings",
            "tie_word_embeddings", "attention_bias", "mlp_bias", "hidden_act", "rope_theta", "rope_scaling",
            "rope_parameters", "rope_type", "factor", "low_freq_factor", "high_freq_factor",
            "original_max_position_embeddings", "partial_rotary_factor", "sliding_window", "use_sliding_window",
            "max_window_layers", "layer_types", "quantization_config", "quant_method", "bos_token_id", "eos_token_id",
            "do_sample", "temperature", "top_p", "top_k", "add_bos_token", "bos_token", "dropout", "byte_fallback",
            "ignore_merges", "fuse_unk", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "merges",
            "vocab", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation",
            "padding", "pattern", "Regex", "String", "prepend", "normalizers", "pretokenizers", "processors",
            "decoders", "special_tokens", "single", "pair");

    /** Names in place of a shard's: out of the directory, into it, to what is no shard. */
    private static final List<String> SHARDS = List.of(
            "../x.safetensors", "../../../../../../etc/passwd", "/etc/passwd", "/dev/zero", "/proc/self/mem",
            "./model-00001-of-00003.safetensors", "a/../model-00001-of-00003.safetensors",
            "..\\\\model-00001-of-00003.safetensors", "model-00001-of-00003.safetensors\\u0000",
            "\\u0000.safetensors", "a\\u0000/../../x.safetensors", "model-00001-of-00003.safetensors\\n",
            ".safetensors", "..safetensors", "...safetensors", "-x.safetensors", "~.safetensors", "config.json", ".",
            "..", "/", "", " ", "C:\\\\x.safetensors", "file:///x.safetensors", "x.safetensors/",
            "\\ud800.safetensors", "%2e%2e%2fx.safetensors", "MODEL-00001-OF-00003.SAFETENSORS");

    private Hostile() {
    }

    /** The text of a JSON value, or of what passes for one. */
    static String value(RandomGenerator random) {
        return switch (random.nextInt(10)) {
            case 0 -> Integer.toString(random.nextInt(12));
            case 1 -> Integer.toString(1 << random.nextInt(31));
            case 2 -> Integer.toString((1 << random.nextInt(12)) + random.nextInt(3) - 1);
            case 3 -> Long.toString(random.nextLong() >> random.nextInt(64));
            case 4 -> Double.toString(random.nextGaussian() * Math.pow(10, random.nextInt(-30, 30)));
            case 5 -> random.nextInt(8) == 0 ? huge(random) : '"' + Integer.toString(random.nextInt(), 36) + '"';
            default -> pick(VALUES, random);
        };
    }

    private static String huge(RandomGenerator random) {
        int length = 1 << random.nextInt(6, 18);
        return switch (random.nextInt(5)) {
            case 0 -> "9".repeat(length);
            case 1 -> "0." + "3".repeat(length);
            case 2 -> '"' + "x".repeat(length) + '"';
            case 3 -> '"' + "\\u2028".repeat(length / 6) + '"';
            default -> "[" + "0,".repeat(length / 2) + "0]";
        };
    }

    /** The inside of a JSON string, for a key. */
    static String key(RandomGenerator random) {
        return random.nextInt(12) == 0 ? "k".repeat(1 << random.nextInt(6, 18)) : pick(KEYS, random);
    }

    /** The inside of a JSON string, for the name of a shard. */
    static String shard(RandomGenerator random) {
        return random.nextInt(12) == 0
                ? "n".repeat(1 << random.nextInt(6, 18)) + ".safetensors"
                : pick(SHARDS, random);
    }

    static <T> T pick(List<T> all, RandomGenerator random) {
        return all.get(random.nextInt(all.size()));
    }
}
