package dev.intarsia.piecewise.cases;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.piecewise.CompilationConfig;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * One row of the cases: what goes in and what is expected. Remembers which inputs were asked for, so that a row with an
 * input nobody looked at cannot pass by accident.
 */
final class CaseRow {
    private final String group;
    private final String id;
    private final JsonNode input;
    private final JsonNode expect;
    private final Set<String> read = new HashSet<>();

    CaseRow(JsonNode row) {
        group = row.required("group").stringValue();
        id = row.required("id").stringValue();
        input = row.required("input");
        expect = row.required("expect");
    }

    String group() {
        return group;
    }

    String id() {
        return id;
    }

    JsonNode expect() {
        return expect;
    }

    /** Whether the input is given and not null. */
    boolean has(String name) {
        read.add(name);
        return input.hasNonNull(name);
    }

    JsonNode node(String name) {
        read.add(name);
        return input.required(name);
    }

    int integer(String name) {
        return node(name).intValue();
    }

    int integer(String name, int otherwise) {
        return has(name) ? integer(name) : otherwise;
    }

    boolean bool(String name, boolean otherwise) {
        return has(name) ? node(name).booleanValue() : otherwise;
    }

    String text(String name) {
        return node(name).stringValue();
    }

    String text(String name, String otherwise) {
        return has(name) ? text(name) : otherwise;
    }

    /** The ints of a list; empty if it is absent or null. */
    List<Integer> integers(String name) {
        List<Integer> values = new ArrayList<>();
        if (has(name)) {
            node(name).forEach(value -> values.add(value.intValue()));
        }
        return values;
    }

    /** The part of the input that most groups share: the limit, range endpoints and exact sizes. */
    CompilationConfig config() {
        return CompilationConfig.builder(integer("max_num_batched_tokens"))
                .endpoints(integers("endpoints"))
                .compileSizes(integers("compile_sizes"))
                .build();
    }

    void assertEverythingRead() {
        assertThat(read).as("inputs of %s that the group's runner knows", this).containsAll(input.propertyNames());
    }

    @Override
    public String toString() {
        return group + " " + id;
    }
}
