package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

class BenchRunCommandTest {
    private static final String CONFIG =
            Path.of("test/resources/configs/qwen3-28-layers.json").toString();

    private static Shell.Result bench(String... more) {
        String[] arguments = new String[more.length + 8];
        System.arraycopy(new String[] {"bench", "run", "--config", CONFIG, "--random-weights", "1", "--artifacts", "off"},
                0, arguments, 0, 8);
        System.arraycopy(more, 0, arguments, 8, more.length);
        return new Shell().run(arguments);
    }

    @Test
    void jsonHasWhatWasMeasured() {
        Shell.Result result = bench("--prompt-tokens", "16", "--decode-tokens", "4", "--repeat", "3", "--json",
                "--threads", "1", "--precision", "f32");

        assertThat(result.err().lines()).allMatch(line -> line.matches("intarsia: .* \\(\\d+ s\\)")); // where the machine is slow
        assertThat(result.exit()).isZero();
        JsonNode json = result.json();
        assertThat(json.get("architecture").stringValue()).isEqualTo("Qwen3ForCausalLM");
        assertThat(json.get("precision").stringValue()).isEqualTo("f32");
        assertThat(json.get("threads").intValue()).isEqualTo(1);
        assertThat(json.get("prefill_tokens_per_second_sorted")).hasSize(3);
        assertThat(json.get("decode_tokens_per_second_sorted")).hasSize(3);
        assertThat(json.get("decode_tokens_per_second").doubleValue())
                .isEqualTo(json.get("decode_tokens_per_second_sorted").get(1).doubleValue());
        assertThat(json.get("read_bytes_per_second").doubleValue()).isGreaterThan(1e8);
        double bytes = json.get("decode_step_bytes").doubleValue() * json.get("decode_tokens_per_second").doubleValue();
        assertThat(json.get("decode_share_of_bandwidth").doubleValue())
                .isCloseTo(bytes / json.get("read_bytes_per_second").doubleValue(), withinPercentage(0.1));
        assertThat(json.get("peak_rss_bytes").longValue()).isGreaterThan(1 << 20);
    }

    @Test
    void whatIsNotMeasuredIsLeftOut() {
        Shell.Result result = bench("--prompt-tokens", "4", "--decode-tokens", "0", "--repeat", "1");

        assertThat(result.exit()).isZero();
        assertThat(result.out()).contains("prompt of 4", "memory reads", "load and first token", "peak resident memory")
                .doesNotContain("decode", "NaN");
    }

    @Test
    void wrongOptionsAreNamed() {
        assertThat(bench("--prompt-tokens", "0", "--decode-tokens", "0").err()).contains("nothing to measure");
        assertThat(bench("--batch", "0").err()).contains("--batch is 0; it must be in 1..65536; see intarsia bench run --help");
        assertThat(bench("--max-model-len", "4").err()).contains("--max-model-len 4 leaves room for at most 3");
        assertThat(bench("--compile-sizes", "3", "--capture-sizes", "1,8", "--max-num-seqs", "8", "--prompt-tokens", "16").err())
                .startsWith("intarsia: --compile-sizes contains 3 which would be padded to 8");
        Shell.Result none = new Shell().run("bench");
        assertThat(none.exit()).isEqualTo(ExitCode.USAGE);
        assertThat(none.err()).contains("no command: bench run");
    }
}
