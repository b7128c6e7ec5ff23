package dev.intarsia.model;

import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** The families that can be served. */
public final class Families {
    private static final List<ModelFamily> ALL = List.of(new Llama(), new Mistral(), new Qwen2(), new Qwen3());

    private Families() {}

    /** Every architecture name, sorted. */
    public static Set<String> architectures() {
        Set<String> names = new TreeSet<>();
        ALL.forEach(family -> names.addAll(family.architectures()));
        return Collections.unmodifiableSet(names);
    }

    /** @throws IllegalArgumentException if no family serves the architecture */
    public static ModelFamily of(String architecture) {
        for (ModelFamily family : ALL) {
            if (family.architectures().contains(architecture)) {
                return family;
            }
        }
        throw new IllegalArgumentException(
                "architecture " + architecture + " is not served; these are: " + architectures());
    }
}
