package dev.intarsia.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.databind.ObjectMapper;

/** A process of its own that uses a store: {@code write DIR SEED}, {@code share DIR SEED}, {@code fill DIR BYTES}. */
final class StoreChild {
    static final int KEYS = 5;
    private static final int MAX_LENGTH = 60_000;
    private static final int OPERATIONS = 40;

    private StoreChild() {}

    public static void main(String[] arguments) {
        Path directory = Path.of(arguments[1]);
        switch (arguments[0]) {
            case "write" -> write(directory, new Random(Long.parseLong(arguments[2])));
            case "share" -> share(directory, new Random(Long.parseLong(arguments[2])));
            case "fill" -> fill(directory, Integer.parseInt(arguments[2]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    static ArtifactKey key(int number) {
        return ArtifactKey.of("piece" + number, "(1, 8)").with("build", "b1");
    }

    /** Bytes that say themselves which key they are for and whether they are whole. */
    static byte[] content(int number, long seed) {
        Random random = new Random(seed);
        byte[] noise = new byte[random.nextInt(MAX_LENGTH)];
        random.nextBytes(noise);
        return ByteBuffer.allocate(12 + noise.length).putInt(number).putLong(seed).put(noise).array();
    }

    static boolean isContent(int number, byte[] bytes) {
        ByteBuffer header = ByteBuffer.wrap(bytes);
        return header.getInt() == number && Arrays.equals(bytes, content(number, header.getLong()));
    }

    /** Puts until it is killed. */
    private static void write(Path directory, Random random) {
        ArtifactStore store = ArtifactStore.open(directory, StoreChild::fail);
        System.out.println("writing");
        while (true) {
            int number = random.nextInt(KEYS);
            if (!store.put(key(number), content(number, random.nextLong()))) {
                fail("a put failed");
            }
        }
    }

    /** Puts and finds among other processes that do the same. */
    private static void share(Path directory, Random random) {
        ArtifactStore store = ArtifactStore.open(directory, StoreChild::fail);
        int hits = 0;
        for (int i = 0; i < OPERATIONS; i++) {
            int number = random.nextInt(KEYS);
            // few distinct contents, so that processes write the same object at the same time
            if (random.nextInt(3) == 0 && !store.put(key(number), content(number, random.nextInt(3)))) {
                fail("a put failed");
            }
            switch (store.find(key(number))) {
                case Lookup.Hit(byte[] bytes) when isContent(number, bytes) -> hits++;
                case Lookup.Miss(Lookup.Cause cause, String reason) when cause == Lookup.Cause.ABSENT -> {}
                case Lookup other -> fail("key " + number + ": " + other);
            }
        }
        System.out.println(hits + " hits");
    }

    /** Puts a small artifact, which fits, and a large one, and finds both; says what came of it, a line each. */
    private static void fill(Path directory, int large) {
        ArtifactStore store = ArtifactStore.open(directory, event -> System.out.println("event: " + event));
        System.out.println("small: " + store.put(key(0), new byte[10]));
        System.out.println("large: " + store.put(key(1), new byte[large]));
        System.out.println("again: " + store.put(key(1), new byte[large]));
        System.out.println("small: " + store.find(key(0)));
        System.out.println("large: " + store.find(key(1)));
        System.out.println("files: " + List.of(directory.resolve("objects").toFile().list()).size());
    }

    private static void fail(String message) {
        System.out.println("FAILED " + message);
        System.exit(1);
    }

    /** The command line of a child; options of the JVM that keep it small. */
    static List<String> command(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        // no file that the JVM writes by itself: the limits of a test are about the store's
        command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx64m"));
        command.addAll(List.of("-cp", classPath(), StoreChild.class.getName()));
        command.addAll(List.of(arguments));
        return command;
    }

    static Process start(List<String> command) {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeAll(Set.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"));
        try {
            return builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Where the classes that a child needs come from, whatever the class path of this JVM is made of. */
    private static String classPath() {
        Set<String> entries = new LinkedHashSet<>();
        try {
            for (Class<?> type : List.of(
                    ArtifactStore.class,
                    StoreChild.class,
                    ObjectMapper.class,
                    TokenStreamFactory.class,
                    JsonInclude.class)) {
                entries.add(Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI()).toString());
            }
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
        return String.join(File.pathSeparator, entries);
    }
}
