package dev.intarsia.piecewise.cases;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.ObjectMapper;

/** The case runner itself: it must fail where it should. */
class ExpectationTest {
    private static final Supplier<Object> THROWS = () -> {
        throw new IllegalArgumentException("Shape: 9 out of considered ranges: [(1, 8)]");
    };

    @Test
    void equalAnswersPass() {
        passes("{\"a\": [1, 2], \"b\": {\"c\": null}}", Map.of("a", List.of(1, 2L), "b", mapOfNull("c"), "more", 3));
        passes("[[\"x\", 1], [\"y\", 2]]", Set.of(List.of("y", 2), List.of("x", 1)));
        passes("\"ok\"", Map.of("a", (Supplier<Object>) () -> 1));
        passes("{\"a\": 1}", Map.of("a", (Supplier<Object>) () -> 1));
    }

    @Test
    void differencesFail() {
        fails("{\"a\": 1}", Map.of("a", 2));
        fails("{\"a\": 1}", Map.of("b", 1));
        fails("[1, 2]", List.of(2, 1));
        fails("[1, 2]", List.of(1));
        fails("[1, 2]", Set.of(1, 2, 3));
        fails("{\"a\": null}", Map.of("a", 1));
        fails("\"8\"", 8);
    }

    @Test
    void errorsAreMatchedByText() {
        passes("{\"error\": \"out of considered\"}", THROWS);
        passes("{\"error\": \"any\"}", Map.of("x", List.of(THROWS)));
        passes("{\"rows\": [{\"error\": \"Shape: 9\"}, 1]}", Map.of("rows", List.of(THROWS, 1)));
        fails("{\"error\": \"another text\"}", THROWS);
        fails("{\"error\": \"any\"}", Map.of("x", 1));
        fails("{\"error\": \"any\"}", (Supplier<Object>) () -> {
            throw new NullPointerException();
        });
        assertThatThrownBy(() -> check("\"ok\"", THROWS)).hasMessageContaining("Shape: 9");
    }

    @Test
    void unknownGroupsFail() {
        assertThatThrownBy(() -> PiecewiseCasesTest.run(row("nonsense", "{}", "{}")))
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("nonsense");
    }

    @Test
    void unknownInputsFail() {
        String input = "{\"max_num_batched_tokens\": 8, \"endpoints\": null, \"compile_sizes\": null, \"more\": 1}";
        assertThatThrownBy(() -> PiecewiseCasesTest.run(row("ranges", input, "{\"endpoints\": [8]}")))
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("more");
    }

    private static CaseRow row(String group, String input, String expect) {
        return new CaseRow(new ObjectMapper().readTree("{\"group\": \"" + group + "\", \"id\": \"T\", \"input\": "
                + input + ", \"expect\": " + expect + "}"));
    }

    private static Map<String, Object> mapOfNull(String name) {
        Map<String, Object> map = new HashMap<>();
        map.put(name, null);
        return map;
    }

    private static void passes(String expected, Object actual) {
        assertThatCode(() -> check(expected, actual)).doesNotThrowAnyException();
    }

    private static void fails(String expected, Object actual) {
        assertThatThrownBy(() -> check(expected, actual)).isInstanceOf(AssertionError.class);
    }

    private static void check(String expected, Object actual) {
        Expectation.check("row", new ObjectMapper().readTree(expected), actual);
    }
}
