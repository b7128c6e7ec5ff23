package dev.intarsia.cli;

import dev.intarsia.EngineInfo;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Piece;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.inspect.Words;
import dev.intarsia.piecewise.BatchDescriptor;
import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationCounters;
import dev.intarsia.piecewise.CompilationEvent;
import dev.intarsia.piecewise.CompilationPhase;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompilationState.Recorded;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.runtime.Dimension;
import java.util.List;
import java.util.Locale;
import tools.jackson.core.JsonGenerator;

/** A {@link ModelReport} for machines: nothing is left out and nothing is rounded. */
final class InspectJson {
    private InspectJson() {}

    static String of(ModelReport report) {
        CompilationState state = report.compilation();
        return Json.object(json -> {
            json.writeName("model");
            model(json, report.model());
            json.writeName("engine");
            engine(json, report.engine());
            json.writeName("config");
            config(json, state);
            json.writeObjectPropertyStart("work");
            json.writeNumberProperty("flops_per_token", report.flopsPerToken());
            json.writeNumberProperty("flops_per_row", report.flopsPerRow());
            json.writeNumberProperty("weight_bytes_per_step", report.weightBytesPerStep());
            json.writeEndObject();
            json.writeArrayPropertyStart("pieces");
            report.pieces().forEach(piece -> piece(json, report, piece));
            json.writeEndArray();
            json.writeArrayPropertyStart("classes");
            report.classes().forEach(each -> pieceClass(json, each));
            json.writeEndArray();
            json.writeName("graphs");
            graphs(json, state.graphs());
            json.writeObjectPropertyStart("dispatch");
            dispatch(json, "decode", state.graphs().uniform());
            dispatch(json, "mixed", state.graphs().mixed());
            json.writeEndObject();
            json.writeName("counters");
            counters(json, state.counters());
            json.writeObjectPropertyStart("phases_ms");
            for (CompilationPhase phase : CompilationPhase.values()) {
                json.writeNumberProperty(lower(phase), state.timings().get(phase).toNanos() / 1e6);
            }
            json.writeEndObject();
            events(json, state.events());
            json.writeArrayPropertyStart("artifacts");
            state.artifacts().forEach(json::writeString);
            json.writeEndArray();
            json.writeArrayPropertyStart("artifacts");
            state.artifacts().forEach(json::writeString);
            json.writeEndArray();
        });
    }

    private static void model(JsonGenerator json, ModelConfig model) {
        json.writeStartObject();
        json.writeStringProperty("architecture", model.architecture());
        json.writeNumberProperty("layers", model.numLayers());
        json.writeNumberProperty("hidden_size", model.hiddenSize());
        json.writeNumberProperty("intermediate_size", model.intermediateSize());
        json.writeNumberProperty("heads", model.numHeads());
        json.writeNumberProperty("kv_heads", model.numKvHeads());
        json.writeNumberProperty("head_dim", model.headDim());
        json.writeNumberProperty("vocabulary", model.vocabSize());
        json.writeBooleanProperty("tied_embedding", model.tieWordEmbeddings());
        json.writeEndObject();
    }

    private static void engine(JsonGenerator json, EngineInfo engine) {
        json.writeStartObject();
        json.writeStringProperty("version", engine.version());
        json.writeStringProperty("library", engine.library().toString());
        device(json, engine);
        json.writeNumberProperty("max_model_len", engine.maxModelLen());
        json.writeNumberProperty("max_num_batched_tokens", engine.maxNumBatchedTokens());
        json.writeNumberProperty("max_num_seqs", engine.maxNumSeqs());
        json.writeNumberProperty("weight_bytes", engine.weightBytes());
        json.writeNumberProperty("kv_cache_bytes", engine.kvCacheBytes());
        json.writeNumberProperty("kv_blocks", engine.kvBlocks());
        json.writeEndObject();
    }

    static void device(JsonGenerator json, EngineInfo engine) {
        json.writeStringProperty("device", engine.device());
        json.writeStringProperty("device_kind", lower(engine.deviceKind()));
        json.writeNumberProperty("device_ordinal", engine.deviceOrdinal());
        json.writeStringProperty("device_note", engine.deviceNote());
        json.writeStringProperty("no_cuda", engine.noCuda());
        json.writeBooleanProperty("deterministic", engine.deterministic());
        json.writeStringProperty("cpu_tier", engine.cpuTier());
        json.writeNumberProperty("threads", engine.threads());
        json.writeStringProperty("precision", lower(engine.precision()));
        json.writeStringProperty("weight_format", lower(engine.format()));
    }

    private static void config(JsonGenerator json, CompilationState state) {
        CompilationConfig config = state.config();
        json.writeStartObject();
        json.writeStringProperty("compilation", lower(config.mode()));
        json.writeStringProperty("dynamic_shapes", lower(config.dynamicShapes()));
        json.writeArrayPropertyStart("splitting_ops");
        config.splittingOps().forEach(json::writeString);
        json.writeEndArray();
        Json.integers(json, "compile_sizes", config.compileSizes());
        json.writeArrayPropertyStart("ranges");
        state.ranges().forEach(range -> range(json, range.start(), range.end()));
        json.writeEndArray();
        json.writeEndObject();
    }

    private static void range(JsonGenerator json, int lo, int hi) {
        json.writeStartArray();
        json.writeNumber(lo);
        json.writeNumber(hi);
        json.writeEndArray();
    }

    private static void piece(JsonGenerator json, ModelReport report, Piece piece) {
        PieceClass of = report.classOf(piece);
        json.writeStartObject();
        json.writeNumberProperty("index", piece.index());
        json.writeNumberProperty("class", piece.classId());
        json.writeStringProperty("kind", lower(of.kind()));
        json.writeStringProperty("dimension", Words.of(of.dimension()));
        json.writeNumberProperty("ops", of.ops().size());
        json.writeNumberProperty("inputs", piece.inputs());
        json.writeNumberProperty("outputs", piece.outputs());
        json.writeNumberProperty("weight_bytes", piece.weightBytes());
        boolean overTokens = of.dimension() == Dimension.TOKENS;
        json.writeNumberProperty(overTokens ? "flops_per_token" : "flops_per_row", piece.flopsPerRow());
        json.writeEndObject();
    }

    private static void pieceClass(JsonGenerator json, PieceClass of) {
        json.writeStartObject();
        json.writeNumberProperty("class", of.id());
        json.writeStringProperty("kind", lower(of.kind()));
        json.writeStringProperty("dimension", Words.of(of.dimension()));
        json.writeName("frozen");
        if (of.frozen() == 0) {
            json.writeNull();
        } else {
            json.writeNumber(of.frozen());
        }
        Json.integers(json, "pieces", of.pieces());
        json.writeArrayPropertyStart("ops");
        of.ops().forEach(json::writeString);
        json.writeEndArray();
        json.writeArrayPropertyStart("entries");
        of.entries().forEach(entry -> entry(json, entry));
        json.writeEndArray();
        json.writeEndObject();
    }

    private static void entry(JsonGenerator json, Entry entry) {
        json.writeStartObject();
        json.writeName("range");
        range(json, entry.lo(), entry.hi());
        json.writeBooleanProperty("exact", entry.exact());
        json.writeArrayPropertyStart("kernels");
        entry.kernels().forEach(json::writeString);
        json.writeEndArray();
        json.writeNumberProperty("arena_bytes", entry.arenaBytes());
        json.writeEndObject();
    }

    private static void graphs(JsonGenerator json, CompilationState.Graphs graphs) {
        json.writeStartObject();
        json.writeStringProperty("mode", graphs.mode().name());
        Json.integers(json, "capture_sizes", graphs.captureSizes());
        json.writeArrayPropertyStart("recordings");
        for (Recorded recorded : graphs.recorded()) {
            json.writeStartObject();
            json.writeStringProperty("mode", recorded.mode().name());
            json.writeName("piece");
            if (recorded.piece() == Recorded.WHOLE_STEP) {
                json.writeNull();
            } else {
                json.writeNumber(recorded.piece());
            }
            batch(json, recorded.batch());
            json.writeNumberProperty("kernels", recorded.kernels());
            json.writeNumberProperty("bytes", recorded.bytes());
            json.writeNumberProperty("arena_bytes", recorded.arenaBytes());
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeEndObject();
    }

    private static void batch(JsonGenerator json, BatchDescriptor batch) {
        json.writeNumberProperty("tokens", batch.tokens());
        json.writeName("requests");
        if (batch.requests() == BatchDescriptor.ANY_REQUESTS) {
            json.writeNull();
        } else {
            json.writeNumber(batch.requests());
        }
        json.writeBooleanProperty("uniform", batch.uniform());
    }

    /** Every size from 1 on. */
    private static void dispatch(JsonGenerator json, String name, List<Dispatch> answers) {
        json.writeArrayPropertyStart(name);
        answers.stream().filter(answer -> answer.tokens() > 0).forEach(answer -> {
            json.writeStartObject();
            answer(json, answer);
            json.writeEndObject();
        });
        json.writeEndArray();
    }

    static void answer(JsonGenerator json, Dispatch answer) {
        json.writeNumberProperty("tokens", answer.tokens());
        json.writeStringProperty("mode", answer.mode().name());
        json.writeNumberProperty("padded", answer.paddedTokens());
        json.writeStringProperty("reason", lower(answer.reason()));
    }

    static void counters(JsonGenerator json, CompilationCounters counters) {
        json.writeStartObject();
        json.writeNumberProperty("graphs_seen", counters.graphsSeen());
        json.writeNumberProperty("pieces_seen", counters.piecesSeen());
        json.writeNumberProperty("capturable_pieces_seen", counters.capturablePiecesSeen());
        json.writeNumberProperty("compilations", counters.compilations());
        json.writeNumberProperty("artifacts_loaded", counters.artifactsLoaded());
        json.writeNumberProperty("artifacts_saved", counters.artifactsSaved());
        json.writeNumberProperty("captures", counters.captures());
        json.writeNumberProperty("replays", counters.replays());
        json.writeEndObject();
    }

    static void events(JsonGenerator json, List<CompilationEvent> events) {
        json.writeArrayPropertyStart("events");
        for (CompilationEvent event : events) {
            json.writeStartObject();
            json.writeStringProperty("subject", event.subject());
            json.writeStringProperty("message", event.message());
            json.writeEndObject();
        }
        json.writeEndArray();
    }

    static String lower(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }
}
