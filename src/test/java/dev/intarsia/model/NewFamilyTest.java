package dev.intarsia.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import dev.intarsia.Engine;
import dev.intarsia.TestModels;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Follows the page src/README.md: its class, compiled and offered as it says there, serves a checkpoint. */
class NewFamilyTest {
    private static final Pattern JAVA_BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);
    private static final Pattern SERVICE = Pattern.compile("`(META-INF/services/[\\w.]+)`");

    @Test
    void theFamilyOfThePageServesACheckpoint(@TempDir Path directory) throws Exception {
        Path checkpoint = renamed(directory.resolve("checkpoint"));
        assertThatThrownBy(() -> Engine.open(checkpoint))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("ExampleForCausalLM")
                .hasMessageContaining("Qwen3ForCausalLM");

        Path classes = compiled(directory.resolve("classes"));
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        try (URLClassLoader loader = new URLClassLoader(new URL[] {classes.toUri().toURL()}, before);
                Engine original = Engine.open(TestModels.checkpoint("qwen3-tied"))) {
            thread.setContextClassLoader(loader);
            try (Engine engine = Engine.open(checkpoint)) {
                assertThat(engine.info().architecture()).isEqualTo("ExampleForCausalLM");
                assertThat(engine.logits(List.of(3, 1, 4))).containsExactly(original.logits(List.of(3, 1, 4)));
            }
        } finally {
            thread.setContextClassLoader(before);
        }
    }

    /** The Qwen3 checkpoint under the page's architecture. */
    private static Path renamed(Path directory) throws Exception {
        Files.createDirectories(directory);
        Path original = TestModels.checkpoint("qwen3-tied");
        Files.copy(original.resolve("model.safetensors"), directory.resolve("model.safetensors"));
        Files.writeString(
                directory.resolve("config.json"),
                Files.readString(original.resolve("config.json")).replace("Qwen3ForCausalLM", "ExampleForCausalLM"));
        return directory;
    }

    private static Path compiled(Path classes) throws Exception {
        Path page = TestModels.holmes().getParent().getParent().resolve("src/README.md");
        String text = Files.readString(page);
        Matcher block = JAVA_BLOCK.matcher(text);
        assertThat(block.find()).isTrue();
        Path source = classes.resolve("example/ExampleFamily.java");
        Files.createDirectories(source.getParent());
        Files.writeString(source, block.group(1).stripIndent());
        int exit = ToolProvider.getSystemJavaCompiler()
                .run(null, null, null, "-cp", System.getProperty("java.class.path"), "-d", classes.toString(),
                        source.toString());
        assertThat(exit).isZero();
        Matcher service = SERVICE.matcher(text);
        assertThat(service.find()).isTrue();
        Path services = classes.resolve(service.group(1));
        Files.createDirectories(services.getParent());
        Files.writeString(services, "example.ExampleFamily\n");
        return classes;
    }
}
