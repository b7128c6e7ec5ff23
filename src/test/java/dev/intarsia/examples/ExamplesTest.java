package dev.intarsia.examples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.GenerationRequest;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The examples do what their page says. */
@Timeout(120)
class ExamplesTest {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);

    private String printed() {
        String text = bytes.toString(StandardCharsets.UTF_8);
        bytes.reset();
        return text;
    }

    @Test
    void theyRun() throws Exception {
        Examples.open(TestModels.holmes(), out);
        assertThat(printed()).isNotBlank();
        Examples.tenants(TestModels.holmes(), out);
        assertThat(printed()).matches("(?s)(16|32|48|64) tokens of the prompt .*");
        Engine engine = Engine.open(TestModels.holmes());
        Examples.sample(engine, out);
        assertThat(printed()).isNotBlank();
        Examples.stream(engine, out);
        assertThat(printed()).hasSizeGreaterThan(20).isSubstringOf(
                engine.generate("My dear Watson,", SamplingParams.greedy(40)).text());
        assertThat(Examples.many(engine)).hasSize(3).doesNotHaveDuplicates().allMatch(text -> !text.isBlank());
        assertThat(Examples.submit(engine).get()).isEqualTo(engine.generate("The fog lay", SamplingParams.greedy(30)).text());
        Examples.publish(engine, out);
        assertThat(printed()).isEqualTo(engine.generate("The hound", SamplingParams.greedy(20)).text());
        Examples.alternatives(engine, out);
        assertThat(printed()).contains("-");
        assertThat(Examples.overload(engine, GenerationRequest.of("A", SamplingParams.greedy(3)))).isNotBlank();
        Examples.stats(engine, out);
        assertThat(printed()).contains("0 run, 0 wait").contains("first token after 0.");
        assertThat(Examples.shutdown(engine)).isTrue();
    }
}
