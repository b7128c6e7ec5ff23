package dev.intarsia.piecewise.cases;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.IntarsiaException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Compares what a row expects with what a {@link RowRunner} answered. */
final class Expectation {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Expectation() {}

    /** Whether the row expects an error as a whole. */
    static boolean isError(JsonNode expected) {
        return expected.isObject() && expected.size() == 1 && expected.has("error");
    }

    /** Fails with the path of the first difference. {@code actual} is as {@link RowRunner#answer} describes. */
    static void check(String path, JsonNode expected, Object actual) {
        if (isError(expected)) {
            String text = expected.get("error").stringValue();
            assertThatThrownBy(() -> evaluate(actual))
                    .as(path)
                    .isInstanceOfAny(
                            IllegalArgumentException.class, IllegalStateException.class, IntarsiaException.class)
                    .hasMessageContaining(text.equals("any") ? "" : text);
        } else if (expected.isString() && expected.stringValue().equals("ok")) {
            evaluate(actual);
        } else if (actual instanceof Supplier<?> supplier) {
            check(path, expected, supplier.get());
        } else if (expected.isObject()) {
            assertThat(actual).as(path).isInstanceOf(Map.class);
            Map<?, ?> fields = (Map<?, ?>) actual;
            for (Map.Entry<String, JsonNode> field : expected.properties()) {
                assertThat(fields.containsKey(field.getKey())).as("%s: answers %s", path, field.getKey()).isTrue();
                check(path + "." + field.getKey(), field.getValue(), fields.get(field.getKey()));
            }
        } else if (expected.isArray() && actual instanceof Set<?> set) {
            assertThat(set.stream().map(Expectation::json).toList())
                    .as(path)
                    .containsExactlyInAnyOrderElementsOf(expected.values());
        } else if (expected.isArray()) {
            assertThat(actual).as(path).isInstanceOf(List.class);
            List<?> items = (List<?>) actual;
            assertThat(items).as(path).hasSize(expected.size());
            for (int i = 0; i < items.size(); i++) {
                check(path + "[" + i + "]", expected.get(i), items.get(i));
            }
        } else {
            assertThat(json(actual)).as(path).isEqualTo(expected);
        }
    }

    /** Asks every supplier inside. */
    private static Object evaluate(Object actual) {
        return switch (actual) {
            case null -> null;
            case Supplier<?> supplier -> evaluate(supplier.get());
            case Map<?, ?> map -> {
                map.values().forEach(Expectation::evaluate);
                yield map;
            }
            case Iterable<?> items -> {
                items.forEach(Expectation::evaluate);
                yield items;
            }
            default -> actual;
        };
    }

    /** Through text, so that 1 and 1L are the same. */
    private static JsonNode json(Object value) {
        Object plain = value instanceof Supplier<?> supplier ? supplier.get() : value;
        return JSON.readTree(JSON.writeValueAsString(plain instanceof Iterable<?> items ? copy(items) : plain));
    }

    private static List<Object> copy(Iterable<?> items) {
        List<Object> list = new ArrayList<>();
        items.forEach(list::add);
        return list;
    }
}
