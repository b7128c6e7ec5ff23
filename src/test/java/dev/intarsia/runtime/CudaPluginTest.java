package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.intarsia.NativeLibraryException;
import dev.intarsia.lifetime.Warnings;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where the plug-in for CUDA devices is looked for; nothing is loaded here. */
class CudaPluginTest {
    private static final byte[] PACKAGED = "a plug-in".getBytes(StandardCharsets.UTF_8);
    private static final String FILE = System.mapLibraryName("intarsia_cuda");
    private static final String RESOURCE = "META-INF/intarsia/linux-x86_64/" + FILE;

    @TempDir
    private Path temp;

    private final Map<String, String> properties = new HashMap<>();
    private final Map<String, String> environment = new HashMap<>();
    private final Map<String, byte[]> resources = new HashMap<>();
    private final List<Path> taken = new ArrayList<>();
    private final List<byte[]> loaded = new ArrayList<>();

    @BeforeEach
    void ordinaryMachine() throws IOException {
        properties.put("os.name", "Linux");
        properties.put("os.arch", "amd64");
        properties.put("user.home", Files.createDirectory(temp.resolve("home")).toString());
        properties.put("java.io.tmpdir", Files.createDirectory(temp.resolve("tmp")).toString());
        Files.createDirectory(temp.resolve("lib"));
    }

    @Test
    void thePropertyThenTheEnvironmentThenBesideTheLibraryThenTheResource() throws IOException {
        resources.put(RESOURCE, PACKAGED);
        Path beside = Files.createFile(temp.resolve("lib").resolve(FILE));
        environment.put(CudaPlugin.ENVIRONMENT, "/environment/plugin.so");
        properties.put(CudaPlugin.PROPERTY, "/property/plugin.so");
        assertThat(find()).containsExactly(Path.of("/property/plugin.so"));
        properties.put(CudaPlugin.PROPERTY, " ");
        assertThat(find()).containsExactly(Path.of("/environment/plugin.so"));
        environment.clear();
        assertThat(find()).containsExactly(beside);
        Files.delete(beside);
        assertThat(find()).singleElement().satisfies(file -> assertThat(file)
                .startsWith(temp.resolve("home/.cache/intarsia/native"))
                .hasFileName(FILE)
                .hasBinaryContent(PACKAGED));
        resources.clear();
        assertThat(find()).as("none is no failure").isEmpty();
        assertThat(loaded).isEmpty();
    }

    @Test
    void aRelativePathIsOfTheWorkingDirectory() {
        properties.put(CudaPlugin.PROPERTY, "plugin.so");
        assertThat(find()).containsExactly(Path.of("plugin.so").toAbsolutePath());
    }

    @Test
    void whatIsNoPathIsNamed() {
        environment.put(CudaPlugin.ENVIRONMENT, "/a\0b");
        assertThatExceptionOfType(NativeLibraryException.class)
                .isThrownBy(this::find)
                .withMessageContaining("environment variable INTARSIA_CUDA_LIBRARY");
    }

    @Test
    void theLastResortIsATemporaryDirectoryFromWhichItIsLoadedAtOnce() throws IOException {
        resources.put(RESOURCE, PACKAGED);
        properties.put("user.home", Files.createFile(temp.resolve("no directory")).toString());
        assertThat(find()).singleElement().satisfies(file ->
                assertThat(file).startsWithRaw(temp.resolve("tmp")).doesNotExist());
        assertThat(loaded).containsExactly(PACKAGED);
        assertThat(temp.resolve("tmp")).isEmptyDirectory();
    }

    @Test
    void wherePackagedAndNowhereToPutIsAWarningAndNoFailure() throws IOException {
        resources.put(RESOURCE, PACKAGED);
        String file = Files.createFile(temp.resolve("file")).toString();
        properties.put("user.home", file);
        properties.put("java.io.tmpdir", file);
        try (Warnings warnings = new Warnings()) {
            assertThat(find()).isEmpty();
            assertThat(warnings.messages()).singleElement().satisfies(message ->
                    assertThat(message).contains("CUDA devices are not available").contains(FILE));
        }
    }

    private List<Path> find() {
        taken.clear();
        LibraryInfo library = new LibraryInfo(temp.resolve("lib/libintarsia.so"), LibrarySource.PROPERTY, "1.2.3", "cafe");
        new CudaPlugin(properties::get, environment::get, this::resource).handTo(library, new CudaPlugin.Library() {
            @Override
            public void take(Path plugin) {
                assertThat(plugin).isAbsolute();
                taken.add(plugin);
            }

            @Override
            public void loadNow() {
                try {
                    loaded.add(Files.readAllBytes(taken.getLast()));
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
        });
        return taken;
    }

    private InputStream resource(String name) {
        byte[] content = resources.get(name);
        return content == null ? null : new ByteArrayInputStream(content);
    }
}
