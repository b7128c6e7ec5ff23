// Partitions, executables, caches and steps: made, filled, damaged, run.
#pragma once

#include <cmath>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "abi_fuzz_buffers.h"

namespace intarsia::fuzz {

inline void Objects::fence([[maybe_unused]] const Step &step, [[maybe_unused]] bool up) {
#if defined(__SANITIZE_ADDRESS__)
    for (const Step::Buffer &buffer : step.buffers) {
        const auto end = reinterpret_cast<uintptr_t>(buffer.address) + buffer.bytes;
        const size_t gap = (64 - end % 64) % 64;
        if (up) ASAN_POISON_MEMORY_REGION(reinterpret_cast<void *>(end), gap);
        else ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void *>(end), gap);
    }
#endif
}

class Steps {
public:
    explicit Steps(Objects &objects) : o(objects), s(objects.session), r(objects.random) {}

    void split(Graph &g, const Ref<Graph> &graph) {
        std::vector<uint32_t> ops;
        const uint32_t most = r.once_in(2) ? 0 : r.below(4);
        if (r.once_in(2)) ops = {INTARSIA_OP_CACHE_APPEND, INTARSIA_OP_ATTENTION};
        for (uint32_t i = 0; i < most; i++) ops.push_back(r.from(INTARSIA_OP_EMBEDDING, INTARSIA_OP_ADD));
        if (s.spoils_argument())
            ops.push_back(r.of({uint32_t{INTARSIA_OP_INPUT}, uint32_t{INTARSIA_OP_SELECT_ROWS},
                                uint32_t{INTARSIA_OP_EMPTY}, 12u, 0xFFFFFFFFu}));
        const uint32_t count = o.number(static_cast<uint32_t>(ops.size()), {13u, 0xFFFFFFFFu});
        const Foretold before = s.next;
        const Array in(s, ops);
        if (count == 0) s.next = before; // not looked at
        s.next.wrong |= g.ops == 0;
        Out<intarsia_partition *> out(s);
        if (!FUZZ_CALL(s, intarsia_graph_split, o.given(g.handle), in, count, out)) return;
        g.sealed = true;
        Partition &made = *o.remember(o.partitions, Partition{out.value(), graph, {}});
        look(made);
    }

    void ask_partition() {
        if (o.partitions.empty()) return;
        const Partition &p = *r.of(o.partitions);
        switch (r.below(4)) {
        case 0: {
            Out<intarsia_partition_info> out(s);
            if (FUZZ_CALL(s, intarsia_partition_query, o.given(p.handle), out)) {
                EXPECT_EQ(out.value().pieces, p.pieces.size());
            }
            return;
        }
        case 1: {
            const uint32_t asked = piece_of(p);
            Out<intarsia_piece_info> out(s);
            if (FUZZ_CALL(s, intarsia_partition_piece, o.given(p.handle), asked, out)) {
                EXPECT_EQ(std::memcmp(out.pointer(), &p.pieces[asked], sizeof(intarsia_piece_info)), 0);
            }
            return;
        }
        case 2: {
            const uint32_t piece = piece_of(p);
            const Text text(s, capacity());
            Out<uint64_t> needed(s);
            if (FUZZ_CALL(s, intarsia_partition_class, o.given(p.handle), piece, text, text.capacity(), needed))
                text.check(needed.value());
            return;
        }
        default:
            const uint32_t piece = piece_of(p);
            const Text text(s, capacity());
            Out<uint64_t> needed(s);
            if (FUZZ_CALL(s, intarsia_partition_describe, o.given(p.handle), piece, text, text.capacity(), needed))
                text.check(needed.value());
        }
    }

    void compile(const Ref<Partition> &partition) {
        const Partition &p = *partition;
        const uint32_t piece = piece_of(p);
        const bool wrong = s.next.wrong;
        const uint32_t frozen = wrong ? 0 : p.pieces[piece].frozen;
        const uint32_t lo = frozen != 0 ? r.from(1, frozen) : r.from(1, 12);
        const uint32_t hi = std::max(lo, frozen) + r.of({0u, 0u, 1u, 20u, r.once_in(10) ? (1u << 24) - 64 : 3u});
        s.next = {};
        Artifact artifact;
        if (!o.executables.empty() && r.once_in(4)) artifact = artifact_of(*r.of(o.executables));
        const uint32_t measure = r.once_in(40) && hi < 64 ? INTARSIA_COMPILE_MEASURE : 0;
        s.next.wrong |= wrong;
        compile(partition, piece, lo, hi, r.below(2), measure, artifact);
    }

    void ask_executable() {
        if (o.executables.empty()) return;
        const Executable &e = *r.of(o.executables);
        if (r.once_in(3)) {
            artifact_of(e);
        } else if (r.once_in(2)) {
            Out<intarsia_executable_info> out(s);
            if (!FUZZ_CALL(s, intarsia_executable_query, o.given(e.handle), out)) return;
            EXPECT_TRUE(out.value().lo >= e.lo && out.value().hi <= e.hi && out.value().lo <= out.value().hi);
        } else {
            const Text text(s, capacity());
            Out<uint64_t> needed(s);
            if (FUZZ_CALL(s, intarsia_executable_describe, o.given(e.handle), text, text.capacity(), needed))
                text.check(needed.value());
        }
    }

    void make_cache() {
        if (o.devices.empty()) return;
        Ref<Device> device = r.of(o.devices);
        intarsia_kv_options k{};
        k.precision = r.below(2);
        k.kv_heads = r.from(1, 3);
        k.head_dim = r.of({2u, 4u, 16u, 18u});
        if (!o.partitions.empty() && !r.once_in(8)) { // one that fits
            const Graph &g = *r.of(o.partitions)->graph;
            device = g.weights->device;
            k.precision = g.weights->precision;
            k.kv_heads = g.kv_heads;
            k.head_dim = g.head_dim;
        }
        k.precision = o.number(k.precision, {2u, 0xFFFFFFFFu});
        k.layers = o.number(r.from(1, 4), {0u, 65537u, 0xFFFFFFFFu});
        k.kv_heads = o.number(k.kv_heads, {0u, 4097u, 0xFFFFFFFFu});
        k.head_dim = o.number(k.head_dim, {0u, 3u, 1026u, 0xFFFFFFFEu});
        k.blocks = o.number(r.from(1, 12), {0u, 0x08000000u, 0xFFFFFFFFu});
        const bool huge = r.once_in(100); // more than there is, or mapped and never touched
        if (huge) {
            k.layers = 65536;
            k.blocks = r.of({1u << 16, 0x07FFFFFFu});
            s.next = {.unsure = true};
        }
        const In in(s, k);
        Out<intarsia_kv_cache *> out(s);
        // A device whose handle is gone lives on in what was made on it, but cannot be named any more.
        const auto named = std::find(o.devices.begin(), o.devices.end(), device);
        if (named == o.devices.end()) s.next.wrong = s.next.wrong_handle = true;
        if (!FUZZ_CALL(s, intarsia_kv_create, o.given(device->handle), in, out)) return;
        o.remember(o.caches, Cache{out.value(), device, k.precision, k.layers, k.kv_heads, k.head_dim, k.blocks});
        if (huge) o.destroy(o.caches, o.caches.size() - 1);
    }

    void ask_cache() {
        if (o.caches.empty()) return make_cache();
        const Cache &c = *r.of(o.caches);
        Out<uint64_t> out(s);
        if (FUZZ_CALL(s, intarsia_kv_bytes, o.given(c.handle), out)) {
            EXPECT_GE(out.value(), uint64_t{c.layers} * c.kv_heads * c.head_dim * c.blocks * INTARSIA_KV_BLOCK * 4);
        }
    }

    void make_step() {
        if (o.partitions.empty()) return;
        const Ref<Partition> p = r.of(o.partitions);
        std::vector<Ref<Cache>> fitting;
        for (const Ref<Cache> &cache : o.caches)
            if (fits(*p->graph, cache.get())) fitting.push_back(cache);
        Ref<Cache> cache;
        if (!fitting.empty() && !r.once_in(10)) cache = r.of(fitting);
        else if (!o.caches.empty() && r.once_in(3)) cache = r.of(o.caches);
        intarsia_step_options options{};
        options.max_tokens = o.number(std::max(p->graph->frozen[0], r.from(1, 24)), {0u, (1u << 24) + 1, 0xFFFFFFFFu});
        options.max_sequences = o.number(r.from(1, 5), {0u, (1u << 24) + 1, 0xFFFFFFFFu});
        options.max_rows = o.number(std::max(p->graph->frozen[1], r.from(1, 6)), {0u, (1u << 24) + 1, 0xFFFFFFFFu});
        options.max_blocks = o.number(r.from(1, 6), {0u, (1u << 24) + 1, 0xFFFFFFFFu});
        options.reserved = o.number(0u, {1u, 0xFFFFFFFFu});
        const bool huge = r.once_in(50);
        if (huge) {
            for (uint32_t *size : {&options.max_tokens, &options.max_sequences, &options.max_rows, &options.max_blocks})
                if (r.once_in(2)) *size = 1u << 24;
            s.next = {.unsure = true};
        }
        const In in(s, options);
        Out<intarsia_step *> out(s);
        s.next.wrong |= !fits(*p->graph, cache.get());
        intarsia_kv_cache *given = cache ? o.given(cache->handle) : nullptr;
        if (cache && given == nullptr) { // no cache at all is not a wrong one
            s.next.wrong_handle = s.next.wrong = false;
            s.next.unsure = true;
        }
        if (!FUZZ_CALL(s, intarsia_step_create, o.given(p->handle), given, in, out)) return;
        options.struct_size = sizeof options;
        Step &step = *o.remember(o.steps, Step{out.value(), p, given ? cache : nullptr, options, {}});
        if (find_buffers(step) && !huge) Objects::fence(step, true);
        if (huge) o.destroy(o.steps, o.steps.size() - 1);
    }

    void ask_step() {
        if (o.steps.empty()) return make_step();
        const Step &step = *r.of(o.steps);
        Out<uint64_t> bytes(s);
        if (r.once_in(2)) {
            uint64_t least = 0;
            for (const Step::Buffer &buffer : step.buffers) least += buffer.bytes;
            if (FUZZ_CALL(s, intarsia_step_bytes, o.given(step.handle), bytes)) {
                EXPECT_GE(bytes.value(), least);
            }
            return;
        }
        const uint32_t buffer = o.number(r.below(13), {13u, 14u, 0x7FFFFFFFu, 0xFFFFFFFFu});
        Out<void *> address(s);
        if (!FUZZ_CALL(s, intarsia_step_buffer, o.given(step.handle), buffer, address, bytes)) return;
        EXPECT_EQ(address.value(), step.buffers[buffer].address);
        EXPECT_EQ(bytes.value(), step.buffers[buffer].bytes);
    }

    // Writes a step that is valid, or one of noise, damages it now and then, and begins it.
    void begin(Step &step) {
        Buffers buffers(r, step);
        Step::Sizes sizes = buffers.noise();
        if (!r.once_in(8)) sizes = buffers.prepare().value_or(sizes);
        if (s.chaos != 0 && r.once_in(3)) buffers.damage(sizes);
        begin(step, sizes);
    }

    // Compiles what is missing and executes every piece in order; twice, fused and with one kernel per op, which must
    // agree in every bit. Answers the logits' bits; none if there are no logits, or none that are defined.
    std::vector<uint32_t> run(Step &step) {
        const Calm calm(s);
        Buffers buffers(r, step);
        if (!step.begun) {
            buffers.noise();
            const auto sizes = buffers.prepare();
            if (!sizes || !begin(step, *sizes)) return {};
        }
        std::vector<uint32_t> bits[2];
        for (uint32_t flags : {uint32_t{INTARSIA_COMPILE_NO_FUSION}, 0u}) {
            for (uint32_t piece = 0; piece < step.partition->pieces.size(); piece++) {
                const uint32_t n = size(step, piece);
                if (n == 0) continue;
                const Ref<Executable> executable = executable_for(step, piece, n, flags);
                if (!executable || !FUZZ_CALL(s, intarsia_execute, step.handle, executable->handle, piece)) return {};
            }
            bits[flags] = buffers.logits();
            buffers.scribble(INTARSIA_BUFFER_LOGITS);
        }
        if (step.partition->graph->undefined) return {};
        EXPECT_EQ(bits[0], bits[1]) << "fused kernels and one kernel per op differ";
        return bits[0];
    }

    // Any executable on any piece of any step.
    void execute(Step &step) {
        if (o.executables.empty()) return;
        const Ref<Executable> e = r.of(o.executables);
        const Partition &p = *step.partition;
        const uint32_t piece = piece_of(p);
        const auto fits = [&] {
            if (!step.begun || e->partition != step.partition || piece >= p.pieces.size()) return false;
            const uint32_t n = size(step, piece);
            return e->class_id == p.pieces[piece].class_id && n >= e->lo && n <= e->hi;
        };
        s.next.wrong |= !fits();
        s.next.unsure |= e->hi > 1u << 20; // its arena may be more than there is
        FUZZ_CALL(s, intarsia_execute, o.given(step.handle), o.given(e->handle), piece);
    }

    // Samples logits of any bits with parameters that are valid, or not.
    void sample(Step &step) {
        Buffers buffers(r, step);
        const Graph &g = *step.partition->graph;
        const uint32_t rows = step.begun ? step.sizes.rows : 0;
        if (step.begun && g.logits != 0 && r.once_in(2)) buffers.scribble(INTARSIA_BUFFER_LOGITS);
        s.next.wrong |= !step.begun || g.logits == 0;
        s.next.wrong |= buffers.sampling(rows, s.spoils());
        if (FUZZ_CALL(s, intarsia_sample, o.given(step.handle))) buffers.check_sampled(rows);
    }

    void read_logits(Step &step) {
        const uint32_t rows = step.begun ? step.sizes.rows : 0;
        const uint32_t wanted = o.number(r.from(0, rows), {rows + 1, 0x80000000u, 0xFFFFFFFFu});
        s.next.wrong |= !step.begun;
        FUZZ_CALL(s, intarsia_step_logits, o.given(step.handle), wanted);
    }

    // Gives a slot a sampler state, mostly a valid one, or takes it away.
    void set_sampler(Step &step) {
        const uint32_t slots = step.most.max_sequences, vocabulary = step.partition->graph->logits;
        const uint32_t slot = o.number(r.below(slots), {slots, slots + 1, 0x80000000u, 0xFFFFFFFFu});
        if (r.once_in(4)) {
            if (FUZZ_CALL(s, intarsia_step_sampler_clear, o.given(step.handle), slot)) step.samplers.erase(slot);
            return;
        }
        s.next.wrong |= vocabulary == 0;
        const auto ids = [&](uint32_t count) {
            std::vector<int32_t> list(count);
            for (int32_t &id : list) {
                id = static_cast<int32_t>(vocabulary == 0 ? 0 : r.below(vocabulary));
                if (s.spoils_argument()) id = r.of({-1, static_cast<int32_t>(vocabulary), INT_MIN, INT_MAX});
            }
            return list;
        };
        const auto some = [&] { return r.once_in(2) ? 0 : r.from(1, 8); };
        intarsia_sampler_state state{};
        std::vector<uint32_t> lengths(some());
        uint32_t total = 0;
        for (uint32_t &length : lengths) total += length = r.from(1, 3);
        const std::vector<int32_t> words = ids(total);
        if (!lengths.empty() && s.spoils_argument()) lengths[0] = r.of({0u, 0xFFFFFFFFu});
        std::vector<float> values(some());
        for (float &value : values) {
            value = r.of({0.0f, -3.0f, 100.0f, 3e38f});
            if (s.spoils_argument()) value = r.of({NAN, INFINITY, -INFINITY});
        }
        // A null or misaligned array of no elements is as good as any.
        const auto calmly = [&](auto list) {
            const Foretold before = s.next;
            Array array(s, list);
            if (list.empty()) s.next = before;
            return array;
        };
        const auto prompt = calmly(ids(some())), output = calmly(ids(some())), allowed = calmly(ids(some())),
                   stops = calmly(ids(some())), bias_ids = calmly(ids(static_cast<uint32_t>(values.size()))),
                   bad_words = calmly(words);
        const auto biases = calmly(values);
        const auto bad_lengths = calmly(lengths);
        const auto count = [&](const auto &array) {
            return o.number(static_cast<uint32_t>(array.elements()), {(1u << 24) + 1, 0xFFFFFFFFu});
        };
        state.prompt = prompt.pointer();
        state.output = output.pointer();
        state.allowed = allowed.pointer();
        state.stops = stops.pointer();
        state.bias_ids = bias_ids.pointer();
        state.biases = biases.pointer();
        state.bad_lengths = bad_lengths.pointer();
        state.bad_words = bad_words.pointer();
        state.prompt_count = count(prompt);
        state.output_count = count(output);
        state.allowed_count = count(allowed);
        state.stop_count = count(stops);
        state.bias_count = count(biases);
        state.bad_count = count(bad_lengths);
        state.min_tokens = r.of({0u, 5u, 0xFFFFFFFFu});
        state.presence_penalty = o.number(r.of({0.0f, 1.5f, -2.0f}), {NAN, INFINITY});
        state.frequency_penalty = o.number(r.of({0.0f, 1.5f, -2.0f}), {NAN, -INFINITY});
        state.repetition_penalty = o.number(r.of({1.0f, 1.3f, 0.5f}), {NAN, INFINITY, 0.0f, -1.0f});
        state.reserved = o.number(0u, {1u, 0xFFFFFFFFu});
        const In in(s, state);
        if (FUZZ_CALL(s, intarsia_step_sampler_set, o.given(step.handle), slot, in)) step.samplers.insert(slot);
    }

    bool begin(Step &step, const Step::Sizes &sizes) {
        s.next.wrong |= !Buffers(r, step).valid(sizes);
        intarsia_step *handle = o.given(step.handle);
        step.begun = FUZZ_CALL(s, intarsia_step_begin, handle, sizes.tokens, sizes.sequences, sizes.rows);
        step.sizes = sizes;
        if (handle != step.handle) end(step); // the buffers changed under an earlier begin
        return step.begun;
    }
    // Whatever was begun holds no more.
    void end(Step &step) {
        const Calm calm(s);
        s.next.wrong = true;
        FUZZ_CALL(s, intarsia_step_begin, step.handle, 0u, 0u, 0u);
        step.begun = false;
    }

    static uint32_t size(const Step &step, uint32_t piece) {
        return step.partition->pieces[piece].dimension == INTARSIA_DIM_TOKENS ? step.sizes.tokens : step.sizes.rows;
    }

    // One that is there, or else compiled, if the partition can still be named.
    Ref<Executable> executable_for(const Step &step, uint32_t piece, uint32_t n, uint32_t fusion) {
        const uint32_t class_id = step.partition->pieces[piece].class_id;
        for (const Ref<Executable> &e : o.executables)
            if (e->partition == step.partition && e->class_id == class_id && e->fusion == fusion && n >= e->lo &&
                n <= e->hi && e->hi < 1u << 20)
                return e;
        if (std::find(o.partitions.begin(), o.partitions.end(), step.partition) == o.partitions.end()) return {};
        return compile(step.partition, piece, n, n + r.below(3) * 8, fusion, 0, {});
    }

private:
    uint32_t piece_of(const Partition &p) {
        const auto pieces = static_cast<uint32_t>(p.pieces.size());
        return o.number(r.below(pieces), {pieces, pieces + 1, 0x80000000u, 0xFFFFFFFFu});
    }
    uint64_t capacity() { return r.of({0u, 1u, 2u, 16u, r.below(2000)}); }

    // What the library says of a new partition.
    void look(Partition &p) {
        const Calm calm(s);
        Out<intarsia_partition_info> out(s);
        if (!FUZZ_CALL(s, intarsia_partition_query, p.handle, out)) return;
        const intarsia_partition_info info = out.value();
        EXPECT_TRUE(info.pieces >= info.classes && info.classes >= 1);
        uint32_t ops = 0;
        for (uint32_t i = 0; i < info.pieces; i++) {
            Out<intarsia_piece_info> piece(s);
            ASSERT_TRUE(FUZZ_CALL(s, intarsia_partition_piece, p.handle, i, piece));
            p.pieces.push_back(piece.value());
            ops += piece.value().ops;
            EXPECT_LT(piece.value().class_id, info.classes);
            EXPECT_EQ(piece.value().frozen, p.graph->frozen[piece.value().dimension]);
        }
        EXPECT_EQ(ops, p.graph->ops);
    }

    // What an executable has to say of its choices, and of which it is. Any text that is no artifact has no executable.
    struct Artifact {
        std::string text;
        const Executable *of = nullptr;
    };

    Artifact artifact_of(const Executable &e) {
        uint64_t size = 0;
        {
            const Calm calm(s);
            Out<uint64_t> needed(s);
            if (!FUZZ_CALL(s, intarsia_executable_artifact, e.handle, nullptr, uint64_t{0}, needed)) return {};
            size = needed.value();
        }
        const uint64_t room = r.once_in(4) ? r.below(static_cast<uint32_t>(size) + 8) : size;
        const Answers<unsigned char> bytes(s, room);
        if (room == 0) s.next = {}; // no buffer is needed
        Out<uint64_t> needed(s);
        if (!FUZZ_CALL(s, intarsia_executable_artifact, o.given(e.handle), bytes, room, needed)) return {};
        EXPECT_EQ(needed.value(), size);
        EXPECT_TRUE(bytes.block().untouched(std::min(room, size)));
        std::string text(reinterpret_cast<const char *>(bytes.block().data()), std::min(room, size));
        if (text.size() < size) return {text, nullptr};
        if (!r.once_in(3)) return {text, &e};
        for (uint32_t i = r.from(1, 3); i > 0 && !text.empty(); i--) { // damaged
            const uint32_t at = r.below(static_cast<uint32_t>(text.size()));
            switch (r.below(4)) {
            case 0: text[at] = static_cast<char>(r.bits()); break;
            case 1: text.erase(at, r.from(1, 8)); break;
            case 2: text.insert(at, text.substr(r.below(static_cast<uint32_t>(text.size())), 12)); break;
            default: text.insert(at, r.of({size_t{1}, size_t{200}}), r.of({' ', '9', 'x', '\0', '%'}));
            }
        }
        return {text, nullptr};
    }

    Ref<Executable> compile(const Ref<Partition> &p, uint32_t piece, uint32_t lo, uint32_t hi, uint32_t fusion,
                            uint32_t measure, const Artifact &artifact) {
        intarsia_compile_options options{};
        options.lo = o.number(lo, {0u, hi + 1, 0xFFFFFFFFu});
        options.hi = o.number(hi, {0u, (1u << 24) + 1, 0xFFFFFFFFu});
        options.flags = o.number(fusion | measure, {4u, 0x80000000u, 0xFFFFFFFFu});
        const Array bytes(s, std::vector<char>(artifact.text.begin(), artifact.text.end()));
        options.artifact = bytes.pointer();
        options.artifact_bytes = o.number(uint64_t{artifact.text.size()}, {uint64_t{1} << 21, UINT64_MAX});
        if (options.artifact_bytes == 0 && !bytes.valid()) s.next = {.unsure = true}; // not looked at
        const auto same = [&](const Executable &e) {
            return e.partition == p && piece < p->pieces.size() && e.class_id == p->pieces[piece].class_id &&
                   e.fusion == fusion;
        };
        s.next.unsure |= !artifact.text.empty() && (artifact.of == nullptr || !same(*artifact.of));
        const In in(s, options);
        Out<intarsia_executable *> out(s);
        if (!FUZZ_CALL(s, intarsia_compile, o.given(p->handle), piece, in, out)) return {};
        if (const uint32_t frozen = p->pieces[piece].frozen; frozen != 0) lo = hi = frozen;
        o.remember(o.executables, Executable{out.value(), p, p->pieces[piece].class_id, lo, hi, fusion});
        return o.executables.back();
    }

    static bool fits(const Graph &g, const Cache *cache) {
        if (!cache) return g.appends.empty();
        return cache->device == g.weights->device &&
               std::all_of(g.appends.begin(), g.appends.end(), [&](const auto &append) {
                   return append.first < cache->layers && append.second.kv_heads == cache->kv_heads &&
                          append.second.head_dim == cache->head_dim && cache->precision == g.weights->precision;
               });
    }

    // Where the buffers of a new step are.
    bool find_buffers(Step &step) {
        const Calm calm(s);
        const uint64_t tokens = step.most.max_tokens, sequences = step.most.max_sequences, rows = step.most.max_rows;
        const uint64_t bytes[] = {tokens * 4,
                                  tokens * 4,
                                  tokens * 4,
                                  rows * 4,
                                  (sequences + 1) * 4,
                                  sequences * 4,
                                  sequences * step.most.max_blocks * 4,
                                  rows * sizeof(intarsia_sampling),
                                  rows * 4,
                                  rows * step.partition->graph->logits * 4,
                                  rows * (1 + INTARSIA_MAX_LOGPROBS) * 4,
                                  rows * (1 + INTARSIA_MAX_LOGPROBS) * 4,
                                  rows * 4};
        for (uint32_t i = 0; i < std::size(bytes); i++) {
            Out<void *> address(s);
            Out<uint64_t> size(s);
            if (!FUZZ_CALL(s, intarsia_step_buffer, step.handle, i, address, size)) return false;
            step.buffers[i] = {address.value(), size.value()};
            EXPECT_EQ(size.value(), bytes[i]) << "buffer " << i;
            EXPECT_EQ(reinterpret_cast<uintptr_t>(address.value()) % 64, 0u) << "buffer " << i;
        }
        return true;
    }

    Objects &o;
    Session &s;
    Random &r;
};

} // namespace intarsia::fuzz
