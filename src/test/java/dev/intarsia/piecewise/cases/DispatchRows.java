package dev.intarsia.piecewise.cases;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.Dispatcher;
import dev.intarsia.piecewise.RuntimeMode;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Group {@code dispatch}: a dispatcher, asked one query after the other. */
final class DispatchRows implements RowRunner {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Set<String> QUERY = Set.of("num_tokens", "uniform_decode", "valid_modes", "invalid_modes");

    @Override
    public Object answer(CaseRow row) {
        Dispatcher dispatcher = new Dispatcher(GraphRows.keys(row), 8192);
        if (row.has("capture_sizes")) {
            dispatcher.activate();
        }
        List<Object> rows = new ArrayList<>();
        for (JsonNode pair : row.expect().path("rows")) {
            JsonNode query = pair.required("q");
            Supplier<Object> answer = () -> ask(dispatcher, query);
            rows.add(Map.of("q", JSON.convertValue(query, Object.class), "r", answer));
        }
        return Map.of("rows", rows);
    }

    private static Object ask(Dispatcher dispatcher, JsonNode query) {
        assertThat(QUERY).containsAll(query.propertyNames());
        int n = query.required("num_tokens").intValue();
        boolean uniform = query.path("uniform_decode").booleanValue(false);
        Dispatch answer = dispatcher.dispatch(n, uniform, modes(query, "valid_modes"), modes(query, "invalid_modes"));
        if (!query.hasNonNull("valid_modes") && !query.hasNonNull("invalid_modes")) {
            assertThat(dispatcher.dispatch(n, uniform)).as("the same without restrictions").isEqualTo(answer);
        }
        return Map.of("mode", answer.mode().toString(), "desc", GraphRows.print(answer.batch()));
    }

    private static Set<RuntimeMode> modes(JsonNode query, String name) {
        if (!query.hasNonNull(name)) {
            return null;
        }
        Set<RuntimeMode> modes = EnumSet.noneOf(RuntimeMode.class);
        query.get(name).forEach(mode -> modes.add(RuntimeMode.valueOf(mode.stringValue())));
        return modes;
    }
}
