package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.intarsia.NativeLibraryException;
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
import java.util.function.Predicate;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The order in which libraries are tried, and what is said when none will do; no library is loaded here. */
class LibraryLoaderTest {
    private static final byte[] PACKAGED = "a library".getBytes(StandardCharsets.UTF_8);

    @TempDir
    private Path temp;

    private final Map<String, String> properties = new HashMap<>();
    private final Map<String, String> environment = new HashMap<>();
    private final Map<String, byte[]> resources = new HashMap<>();
    private final List<Path> linked = new ArrayList<>();
    private final FakeLibrary library = new FakeLibrary();
    private Predicate<Path> loads = file -> true;

    @BeforeEach
    void ordinaryMachine() throws IOException {
        properties.put("os.name", "Linux");
        properties.put("os.arch", "amd64");
        properties.put("user.home", Files.createDirectory(temp.resolve("home")).toString());
        properties.put("java.io.tmpdir", Files.createDirectory(temp.resolve("tmp")).toString());
        environment.put("XDG_CACHE_HOME", temp.resolve("xdg").toString());
        resources.put("META-INF/intarsia/linux-x86_64/" + System.mapLibraryName("intarsia"), PACKAGED);
    }

    // ------------------------------------------------------------------------------------------------- a named library

    @Test
    void thePropertyComesFirst() throws IOException {
        Path first = file("first.so");
        properties.put(LibraryLoader.PROPERTY, first.toString());
        environment.put(LibraryLoader.ENVIRONMENT, file("second.so").toString());
        assertThat(load()).isEqualTo(new LibraryInfo(first, LibrarySource.PROPERTY, "1.2.3", "cafe"));
        assertThat(linked).containsExactly(first);
    }

    @Test
    void thenTheEnvironment() throws IOException {
        Path second = file("second.so");
        properties.put(LibraryLoader.PROPERTY, " ");
        environment.put(LibraryLoader.ENVIRONMENT, second.toString());
        assertThat(load().source()).isEqualTo(LibrarySource.ENVIRONMENT);
        assertThat(linked).containsExactly(second);
    }

    @Test
    void aNamedLibraryThatDoesNotLoadHasNoSubstitute() throws IOException {
        Path broken = file("broken.so");
        properties.put(LibraryLoader.PROPERTY, broken.toString());
        environment.put(LibraryLoader.ENVIRONMENT, file("second.so").toString());
        loads = file -> !file.equals(broken);
        assertThat(failure())
                .contains("system property intarsia.library = " + broken + ": no such symbol")
                .contains("-Dintarsia.library=")
                .doesNotContain("second.so");
        assertThat(linked).containsExactly(broken);
    }

    @Test
    void aNamedPathMustBeAbsoluteAndAFile() {
        properties.put(LibraryLoader.PROPERTY, "libintarsia.so");
        assertThat(failure()).contains("system property intarsia.library = libintarsia.so: is not an absolute path");

        properties.put(LibraryLoader.PROPERTY, temp.resolve("absent.so").toString());
        assertThat(failure()).contains(temp.resolve("absent.so") + ": is no file");

        properties.put(LibraryLoader.PROPERTY, "/a\0b");
        assertThat(failure()).contains("is not a path");

        properties.clear();
        environment.put(LibraryLoader.ENVIRONMENT, temp.toString());
        assertThat(failure()).contains("environment variable INTARSIA_LIBRARY = " + temp + ": is no file");
        assertThat(linked).isEmpty();
    }

    // -------------------------------------------------------------------------------------------- the packaged library

    @Test
    void thenThePackagedLibraryInTheCacheOfXdg() {
        LibraryInfo info = load();
        assertThat(info.source()).isEqualTo(LibrarySource.PACKAGED);
        assertThat(info.path()).startsWith(temp.resolve("xdg/intarsia/native")).hasBinaryContent(PACKAGED);
        assertThat(linked).containsExactly(info.path());
        assertThat(load()).isEqualTo(info);
    }

    @Test
    void theHomeDirectoryIsNextWhenThereIsNoXdg() {
        environment.remove("XDG_CACHE_HOME");
        assertThat(load().path()).startsWith(temp.resolve("home/.cache/intarsia/native"));
    }

    @Test
    void aRelativeXdgDoesNotCount() {
        environment.put("XDG_CACHE_HOME", "cache");
        assertThat(load().path()).startsWith(temp.resolve("home/.cache/intarsia/native"));
    }

    @Test
    void aCacheThatTakesNoFileIsPassedOver() throws IOException {
        environment.put("XDG_CACHE_HOME", file("no directory").toString());
        assertThat(load().path()).startsWith(temp.resolve("home/.cache/intarsia/native"));
    }

    @Test
    void aCacheFromWhichNothingLoadsIsPassedOver() {
        loads = file -> !file.startsWith(temp.resolve("xdg")); // as when it is mounted noexec
        assertThat(load().path()).startsWith(temp.resolve("home/.cache/intarsia/native"));
        assertThat(linked).hasSize(2);
    }

    @Test
    void theLastResortIsATemporaryDirectoryThatIsGoneAfterwards() throws IOException {
        environment.put("XDG_CACHE_HOME", file("no directory").toString());
        properties.put("user.home", file("none either").toString());
        List<byte[]> contents = new ArrayList<>();
        loads = file -> contents.add(read(file));
        assertThat(load().path()).startsWithRaw(temp.resolve("tmp")).doesNotExist();
        assertThat(contents).containsExactly(PACKAGED);
        assertThat(temp.resolve("tmp")).isEmptyDirectory();
    }

    @Test
    void theFailureListsEveryPlaceAndWhy() throws IOException {
        Path xdg = file("no directory");
        environment.put("XDG_CACHE_HOME", xdg.toString());
        loads = file -> false;
        assertThat(failure().lines().toList()).satisfiesExactly(
                line -> assertThat(line).isEqualTo("The native library of Intarsia cannot be loaded. Tried:"),
                line -> assertThat(line).contains("packaged library in " + xdg).contains("Exception"),
                line -> assertThat(line)
                        .contains("packaged library = " + temp.resolve("home/.cache/intarsia/native"))
                        .endsWith(": no such symbol"),
                line -> assertThat(line)
                        .contains("packaged library = " + temp.resolve("tmp/intarsia-"))
                        .endsWith(": no such symbol"),
                line -> assertThat(line).contains("-Dintarsia.library=").contains("INTARSIA_LIBRARY"));
        assertThat(temp.resolve("tmp")).isEmptyDirectory();
    }

    @Test
    void withoutATemporaryDirectoryThatIsListedToo() throws IOException {
        String file = file("file").toString();
        environment.put("XDG_CACHE_HOME", file);
        properties.put("user.home", file);
        properties.put("java.io.tmpdir", file);
        assertThat(failure()).contains("packaged library in a new directory of " + file);
        assertThat(linked).isEmpty();
    }

    @Test
    void thePlatformNamesTheResource() {
        for (String[] platform : new String[][] {
            {"Linux", "amd64", "linux-x86_64"},
            {"Linux", "aarch64", "linux-aarch64"},
            {"Mac OS X", "arm64", "darwin-aarch64"}
        }) {
            properties.put("os.name", platform[0]);
            properties.put("os.arch", platform[1]);
            resources.clear();
            String name = "META-INF/intarsia/" + platform[2] + "/" + System.mapLibraryName("intarsia");
            assertThat(failure()).contains("packaged library " + name + ": is not on the class path");
            resources.put(name, PACKAGED);
            assertThat(load().source()).isEqualTo(LibrarySource.PACKAGED);
        }
    }

    @Test
    void aResourceThatCannotBeReadIsListed() {
        LibraryLoader loader = new LibraryLoader(properties::get, environment::get, name -> new InputStream() {
            @Override
            public int read() throws IOException {
                throw new IOException("bad jar");
            }
        }, linked::add, library);
        assertThatExceptionOfType(NativeLibraryException.class)
                .isThrownBy(loader::load)
                .withMessageContaining("cannot be read: java.io.IOException: bad jar")
                .withCauseInstanceOf(IOException.class);
    }

    // ------------------------------------------------------------------------------------------------- another library

    @Test
    void aLibraryOfAnotherHeaderIsNamedWithWhatToDo() throws IOException {
        Path old = file("old.so");
        properties.put(LibraryLoader.PROPERTY, old.toString());
        library.abiVersion = 99;
        assertThat(failure())
                .startsWith("The native library at " + old + " (system property intarsia.library) does not fit")
                .contains("ABI version is 99")
                .contains("built from another header")
                .contains("unset the system property intarsia.library");
    }

    @Test
    void aPackagedLibraryOfAnotherHeaderIsNotTriedElsewhere() {
        library.headerHash = "beef";
        assertThat(failure()).contains("beef").contains("intarsia-native must be of one version");
        assertThat(linked).hasSize(1);
    }

    private LibraryInfo load() {
        return new LibraryLoader(properties::get, environment::get, this::resource, this::link, library).load();
    }

    private String failure() {
        try {
            throw new AssertionError("loaded " + load());
        } catch (NativeLibraryException e) {
            return e.getMessage();
        }
    }

    private InputStream resource(String name) {
        byte[] content = resources.get(name);
        return content == null ? null : new ByteArrayInputStream(content);
    }

    private void link(Path file) {
        assertThat(file).isAbsolute().isRegularFile();
        linked.add(file);
        if (!loads.test(file)) {
            throw new UnsatisfiedLinkError("no such symbol");
        }
    }

    private Path file(String name) throws IOException {
        return Files.createFile(temp.resolve(name));
    }

    private static byte[] read(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
