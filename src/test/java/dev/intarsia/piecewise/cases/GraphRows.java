package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.BatchDescriptor;
import dev.intarsia.piecewise.CaptureSizes;
import dev.intarsia.piecewise.GraphConfig;
import dev.intarsia.piecewise.GraphKeys;
import dev.intarsia.piecewise.GraphMode;
import java.util.HashMap;
import java.util.Map;

/** How the groups about recordings read their common inputs and print descriptors. */
final class GraphRows {
    private GraphRows() {}

    static GraphMode mode(CaseRow row) {
        return GraphMode.valueOf(row.text("graph_mode", "FULL_AND_PIECEWISE"));
    }

    static int queryLength(CaseRow row) {
        return row.has("num_speculative_tokens")
                ? row.integer("num_speculative_tokens") + 1
                : row.integer("query_len", 1);
    }

    /** Capture sizes as derived; limits that the row leaves out are large. */
    static CaptureSizes sizes(CaseRow row) {
        GraphConfig.Builder config = GraphConfig.builder(
                        row.integer("max_num_batched_tokens", 8192), row.integer("max_num_seqs", 256))
                .mode(mode(row))
                .queryLength(queryLength(row));
        if (row.has("capture_sizes")) {
            config.captureSizes(row.integers("capture_sizes"));
        }
        if (row.has("max_capture_size")) {
            config.maxCaptureSize(row.integer("max_capture_size"));
        }
        return CaptureSizes.derive(config.build());
    }

    /** Keys for exactly the row's sizes. */
    static GraphKeys keys(CaseRow row) {
        CaptureSizes sizes = CaptureSizes.of(row.integers("capture_sizes"));
        return new GraphKeys(mode(row), sizes, row.integer("max_num_seqs"), queryLength(row));
    }

    static Map<String, Object> print(BatchDescriptor batch) {
        Map<String, Object> fields = new HashMap<>();
        fields.put("num_tokens", batch.tokens());
        fields.put("num_reqs", batch.requests() == BatchDescriptor.ANY_REQUESTS ? null : batch.requests());
        fields.put("uniform", batch.uniform());
        return fields;
    }
}
