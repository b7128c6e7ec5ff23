package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.BatchDescriptor;
import dev.intarsia.piecewise.CaptureLock;
import dev.intarsia.piecewise.CaptureSizes;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.Dispatcher;
import dev.intarsia.piecewise.GraphKeys;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.piecewise.GraphWrapper;
import dev.intarsia.piecewise.RuntimeMode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/** Group {@code graph_wrapper}: one call, or a sequence of calls, to a wrapper. */
final class GraphWrapperRows implements RowRunner {
    private static final Pattern CALL = Pattern.compile("(NONE|PIECEWISE|FULL)@(\\d+)");
    private static final Pattern DISPATCH = Pattern.compile("dispatch\\((\\d+)\\) with sizes \\[([\\d, ]+)]");

    @Override
    public Object answer(CaseRow row) {
        RuntimeMode bound = RuntimeMode.valueOf(row.text("wrapper", "FULL"));
        CaptureLock lock = new CaptureLock();
        if (!row.bool("capturing_enabled", true)) {
            lock.lock();
        }
        FakeRecordable inner = new FakeRecordable();
        Map<String, Object> answers = new HashMap<>();
        try (GraphWrapper wrapper = new GraphWrapper(bound, inner, lock, new CompilationTracker())) {
            if (row.has("seq")) {
                List<String> actions = new ArrayList<>();
                for (JsonNode step : row.node("seq")) {
                    actions.add(step(wrapper, bound, step.stringValue()));
                }
                answers.put("actions", actions);
            } else {
                row.text("desc", "unseen");
                RuntimeMode mode = RuntimeMode.valueOf(row.text("runtime").replace(" with a descriptor", ""));
                answers.put("action", wrapper.call(mode, BatchDescriptor.of(1)).toString().toLowerCase());
            }
            answers.put("entries", wrapper.size());
            answers.put("inner_calls", inner.calls);
            answers.put("replays", inner.replays);
        }
        return answers;
    }

    private static String step(GraphWrapper wrapper, RuntimeMode bound, String step) {
        Matcher call = CALL.matcher(step);
        if (call.matches()) {
            RuntimeMode mode = RuntimeMode.valueOf(call.group(1));
            GraphWrapper.Action action = wrapper.call(mode, BatchDescriptor.of(Integer.parseInt(call.group(2))));
            return mode == RuntimeMode.NONE ? "run" : action.toString().toLowerCase();
        }
        Matcher dispatch = DISPATCH.matcher(step);
        if (!dispatch.matches()) {
            throw new IllegalArgumentException("not a step: " + step);
        }
        List<Integer> sizes = new ArrayList<>();
        for (String size : dispatch.group(2).split(",")) {
            sizes.add(Integer.parseInt(size.strip()));
        }
        GraphMode mode = bound == RuntimeMode.FULL ? GraphMode.FULL : GraphMode.PIECEWISE;
        Dispatcher dispatcher = new Dispatcher(new GraphKeys(mode, CaptureSizes.of(sizes), 256, 1), 2048);
        dispatcher.activate();
        Dispatch answer = dispatcher.dispatch(Integer.parseInt(dispatch.group(1)), false);
        GraphWrapper.Action action = wrapper.call(answer.mode(), answer.batch());
        return action.toString().toLowerCase()
                + (action == GraphWrapper.Action.BYPASS ? " (mode " + answer.mode() + ")" : "");
    }
}
