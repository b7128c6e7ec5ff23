package dev.intarsia.model;

import java.util.Collections;
import java.util.List;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** The families that can be served: ours, and those that the class path offers as services of {@link ModelFamily}. */
public final class Families {
    private static final List<ModelFamily> OURS = List.of(new Llama(), new Mistral(), new Qwen2(), new Qwen3());

    private Families() {}

    /** Every architecture name, sorted. */
    public static Set<String> architectures() {
        Set<String> names = new TreeSet<>();
        all().forEach(family -> names.addAll(family.architectures()));
        return Collections.unmodifiableSet(names);
    }

    /** @throws IllegalArgumentException if no family serves the architecture */
    public static ModelFamily of(String architecture) {
        return all().filter(family -> family.architectures().contains(architecture))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException(
                        "architecture " + architecture + " is not served; these are: " + architectures()));
    }

    private static Stream<ModelFamily> all() {
        return Stream.concat(
                OURS.stream(), ServiceLoader.load(ModelFamily.class).stream().map(ServiceLoader.Provider::get));
    }
}
