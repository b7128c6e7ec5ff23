package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.cli.bench.StreamingPeer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class BenchServeCommandTest {
    private static final String CONFIG =
            Path.of("test/resources/configs/qwen3-28-layers.json").toString();

    @TempDir
    private Path temp;

    @Test
    void anEngineBearsALoad() {
        Path svg = temp.resolve("waits.svg");
        Shell.Result result = new Shell().run("bench", "serve", "--config", CONFIG, "--random-weights", "1", "--artifacts", "off",
                "--requests", "12", "--rate", "200", "--prompt-tokens", "3:20", "--output-tokens", "5", "--max-num-seqs", "4",
                "--svg", svg.toString(), "--json");

        assertThat(result.exit()).as(result.err()).isZero();
        JsonNode json = result.json();
        assertThat(json.get("finished").intValue()).isEqualTo(12);
        assertThat(json.get("failed").intValue()).isZero();
        assertThat(json.get("output_tokens").intValue()).isEqualTo(60);
        assertThat(json.get("prompt_tokens").intValue()).isBetween(36, 240);
        for (String name : new String[] {"first_token_ms", "inter_token_ms", "request_ms"}) {
            JsonNode waits = json.get(name);
            assertThat(waits.get("p50").doubleValue()).isLessThanOrEqualTo(waits.get("p95").doubleValue());
            assertThat(waits.get("p99").doubleValue()).isBetween(waits.get("p95").doubleValue(), waits.get("longest").doubleValue());
        }
        assertThat(svg).content().contains("12 requests, 200.0 a second, prompts of 3:20 tokens", "Time to first token", "p99 ");
    }

    @Test
    void lengthsCanComeFromAFile() throws Exception {
        Path lengths = Files.writeString(temp.resolve("lengths.txt"), "7 3\n20, 1\n");
        Shell.Result result = new Shell().run("bench", "serve", "--config", CONFIG, "--random-weights", "1", "--artifacts", "off",
                "--requests", "3", "--lengths", lengths.toString(), "--json");
        assertThat(result.exit()).as(result.err()).isZero();
        assertThat(result.json().get("prompt_tokens").intValue()).isEqualTo(7 + 20 + 7);
        assertThat(result.json().get("output_tokens").intValue()).isEqualTo(3 + 1 + 3);
        Shell.Result missing = new Shell().run("bench", "serve", "--config", CONFIG, "--random-weights", "1",
                "--lengths", temp.resolve("none").toString());
        assertThat(missing.exit()).isNotZero();
        assertThat(missing.err()).contains("cannot read", "none");
    }

    @Test
    void aPeerIsMeasuredWithTheSameTable() throws Exception {
        try (StreamingPeer peer = new StreamingPeer(1, 1)) {
            Shell.Result result = new Shell().run("bench", "serve", "--peer", peer.url(), "--requests", "3", "--prompt-tokens", "4",
                    "--output-tokens", "6");
            assertThat(result.exit()).as(result.err()).isZero();
            assertThat(result.out()).contains(peer.url(), "3 requests, all at once, prompts of 4 tokens, answers of 6", "p50", "p95", "p99",
                    "first token", "token to token", "whole request");
        }
    }

    @Test
    void failuresEndInTheExitCode() throws Exception {
        StreamingPeer peer = new StreamingPeer(1, 1);
        peer.stop();
        Shell.Result result = new Shell().run("bench", "serve", "--peer", peer.url(), "--requests", "2");
        assertThat(result.exit()).isEqualTo(ExitCode.FAILURE);
        assertThat(result.err()).contains("intarsia: 2 requests failed, the first with: ");

        assertThat(new Shell().run("bench", "serve", "--prompt-tokens", "9:1").exit()).isEqualTo(ExitCode.USAGE);
        assertThat(new Shell().run("bench", "serve", "--rate", "0").err()).contains("--rate is 0.0");
        assertThat(new Shell().run("bench", "serve", "--peer", "nonsense").err()).contains("--peer is nonsense");
    }
}
