// What the buffers of a step hold: valid, damaged or noise; and what intarsia_step_begin has to say of it.
#pragma once

#include <climits>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

#include "abi_fuzz_objects.h"

namespace intarsia::fuzz {

class Buffers {
public:
    Buffers(Random &random, const Step &step)
        : r(random), step(step), graph(*step.partition->graph), tokens(step.ints(INTARSIA_BUFFER_TOKENS)),
          positions(step.ints(INTARSIA_BUFFER_POSITIONS)), slots(step.ints(INTARSIA_BUFFER_SLOTS)),
          rows(step.ints(INTARSIA_BUFFER_ROWS)), starts(step.ints(INTARSIA_BUFFER_QUERY_STARTS)),
          lengths(step.ints(INTARSIA_BUFFER_LENGTHS)), tables(step.ints(INTARSIA_BUFFER_BLOCK_TABLES)) {}

    // Fills every buffer with small numbers or with any bits; answers sizes, which may be too large by one.
    Step::Sizes noise() {
        const bool small = r.once_in(2);
        for (uint32_t buffer = 0; buffer <= INTARSIA_BUFFER_RANKS; buffer++) {
            const uint64_t count = step.buffers[buffer].bytes / 4;
            for (uint64_t i = 0; i < count; i++)
                step.ints(buffer)[i] = small ? static_cast<int32_t>(r.below(8)) - 1 : static_cast<int32_t>(r.bits());
        }
        separate();
        return {r.below(step.most.max_tokens + 2), r.below(step.most.max_sequences + 2),
                r.below(step.most.max_rows + 2)};
    }

    // Any bits, the special ones of floats among them.
    void scribble(uint32_t buffer) {
        const uint64_t count = step.buffers[buffer].bytes / 4;
        const uint32_t special = r.once_in(4) ? 1 : 16;
        for (uint64_t i = 0; i < count; i++)
            step.ints(buffer)[i] = static_cast<int32_t>(
                r.once_in(special) ? r.of({0x7FC00000u, 0xFFC00000u, 0x7F800000u, 0xFF800000u, 0u, 0x80000000u, 1u})
                                   : static_cast<uint32_t>(r.bits()));
    }

    // Writes a valid step, if the sizes that are wanted or frozen fit; what lies past its sizes stays. Its tokens and
    // rows are those wanted unless these are 0.
    std::optional<Step::Sizes> prepare(uint32_t wanted_tokens = 0, uint32_t wanted_rows = 0) {
        const uint32_t frozen_tokens = graph.frozen[0], frozen_rows = graph.frozen[1];
        if (std::max(frozen_tokens, wanted_tokens) > step.most.max_tokens || wanted_rows > step.most.max_rows)
            return {};
        Step::Sizes sizes{};
        sizes.tokens = frozen_tokens != 0 ? frozen_tokens : r.from(1, step.most.max_tokens);
        sizes.sequences = r.from(0, step.most.max_sequences);
        sizes.rows = r.from(0, step.most.max_rows);
        if (frozen_rows != 0) sizes.rows = frozen_rows <= step.most.max_rows ? r.of({0u, frozen_rows}) : 0;
        if (wanted_tokens != 0) sizes.tokens = wanted_tokens;
        if (wanted_rows != 0) sizes.rows = wanted_rows;
        for (uint32_t t = 0; t < sizes.tokens; t++) {
            tokens[t] = static_cast<int32_t>(graph.vocabulary != 0 ? r.below(graph.vocabulary) : r.bits());
            positions[t] = r.once_in(20) ? INT_MAX : static_cast<int32_t>(r.below(100));
            slots[t] = -1;
        }
        for (uint32_t i = 0; i < sizes.rows; i++) rows[i] = static_cast<int32_t>(r.below(sizes.tokens));

        const uint32_t most = step.most.max_blocks * INTARSIA_KV_BLOCK;
        uint32_t token = 0;
        starts[0] = 0;
        for (uint32_t q = 0; q < sizes.sequences; q++) {
            const uint32_t left = std::min(sizes.tokens - token, most);
            const uint32_t queries = q + 1 == sizes.sequences && r.once_in(2) ? left : r.from(0, left);
            const uint32_t length = r.from(queries, most);
            for (uint32_t b = 0; step.cache && b < (length + INTARSIA_KV_BLOCK - 1) / INTARSIA_KV_BLOCK; b++)
                table(q)[b] = static_cast<int32_t>(r.below(step.cache->blocks));
            for (uint32_t i = 0; i < queries; i++, token++) {
                const uint32_t position = length - queries + i;
                positions[token] = static_cast<int32_t>(position);
                if (step.cache && !r.once_in(10))
                    slots[token] = table(q)[position / INTARSIA_KV_BLOCK] * INTARSIA_KV_BLOCK +
                                   static_cast<int32_t>(position % INTARSIA_KV_BLOCK);
            }
            lengths[q] = static_cast<int32_t>(length);
            starts[q + 1] = static_cast<int32_t>(token);
        }
        separate();
        return sizes;
    }

    // Changes one thing, mostly for the worse.
    void damage(Step::Sizes &sizes) {
        const int32_t blocks = step.cache ? static_cast<int32_t>(step.cache->blocks) : 0;
        const int32_t bad = r.of({INT_MIN, -2, -1, 0, 1, INT_MAX, static_cast<int32_t>(graph.vocabulary), blocks,
                                  blocks * INTARSIA_KV_BLOCK, static_cast<int32_t>(sizes.tokens),
                                  static_cast<int32_t>(step.most.max_blocks) * INTARSIA_KV_BLOCK + 1});
        const auto token = r.below(std::min(sizes.tokens, step.most.max_tokens) + 1) % step.most.max_tokens;
        const auto sequence = r.below(std::min(sizes.sequences, step.most.max_sequences) + 1) % step.most.max_sequences;
        switch (r.below(10)) {
        case 0: sizes.tokens = r.of({0u, step.most.max_tokens + 1, 0x80000000u, 0xFFFFFFFFu}); break;
        case 1: sizes.sequences = r.of({step.most.max_sequences + 1, 0x80000000u, 0xFFFFFFFFu}); break;
        case 2: sizes.rows = r.of({step.most.max_rows + 1, 0x80000000u, 0xFFFFFFFFu}); break;
        case 3: tokens[token] = bad; break;
        case 4: positions[token] = bad; break;
        case 5: slots[token] = bad; break;
        case 6: rows[r.below(step.most.max_rows)] = bad; break;
        case 7: starts[r.below(2) + sequence] = bad; break;
        case 8: lengths[sequence] = bad; break;
        default: table(sequence)[r.below(step.most.max_blocks)] = bad;
        }
        separate();
    }

    // Whether intarsia.h lets such a step begin.
    bool valid(const Step::Sizes &sizes) const {
        const auto [token_count, sequences, row_count] = sizes;
        if (token_count < 1 || token_count > step.most.max_tokens || sequences > step.most.max_sequences ||
            row_count > step.most.max_rows)
            return false;
        if ((graph.frozen[0] != 0 && token_count != graph.frozen[0]) ||
            (graph.frozen[1] != 0 && row_count != 0 && row_count != graph.frozen[1]))
            return false;
        const auto inside = [](int64_t value, int64_t least, int64_t end) { return value >= least && value < end; };
        const int64_t blocks = step.cache ? step.cache->blocks : 0;
        for (uint32_t t = 0; t < token_count; t++)
            if ((graph.vocabulary != 0 && !inside(tokens[t], 0, graph.vocabulary)) || positions[t] < 0 ||
                !inside(slots[t], -1, blocks * INTARSIA_KV_BLOCK))
                return false;
        for (uint32_t i = 0; i < row_count; i++)
            if (!inside(rows[i], 0, token_count)) return false;
        if (starts[0] != 0) return false;
        for (uint32_t q = 0; q < sequences; q++) {
            if (!inside(starts[q + 1], starts[q], int64_t{token_count} + 1)) return false;
            const int64_t queries = starts[q + 1] - starts[q];
            if (!inside(lengths[q], queries, int64_t{step.most.max_blocks} * INTARSIA_KV_BLOCK + 1)) return false;
            for (int64_t i = 0; i < queries; i++)
                if (positions[starts[q] + i] != lengths[q] - queries + i) return false;
            for (int64_t b = 0; step.cache && b * INTARSIA_KV_BLOCK < lengths[q]; b++)
                if (!inside(table(q)[b], 0, blocks)) return false;
        }
        for (auto t = static_cast<uint32_t>(starts[sequences]); t < token_count; t++)
            if (slots[t] != -1) return false;
        return true;
    }

    // The logits of the step; one NaN is as good as another.
    std::vector<uint32_t> logits() const {
        const size_t count = size_t{step.sizes.rows} * graph.logits;
        std::vector<uint32_t> bits(count);
        if (count != 0) std::memcpy(bits.data(), step.buffers[INTARSIA_BUFFER_LOGITS].address, count * 4);
        for (uint32_t &element : bits)
            if ((element & 0x7FFFFFFFu) > 0x7F800000u) element = 0x7FC00000u;
        return bits;
    }

    // Valid parameters for so many rows; true if one of them was spoilt then.
    bool sampling(uint32_t rows, bool spoil) {
        std::set<uint32_t> free = step.samplers;
        for (uint32_t row = 0; row < rows; row++) {
            intarsia_sampling &p = step.sampling()[row] = parameters();
            if (!free.empty() && p.target == 0 && r.once_in(2)) {
                p.state = 1 + *free.begin();
                free.erase(free.begin());
            }
        }
        if (!spoil || rows == 0) return false;
        intarsia_sampling &p = step.sampling()[r.below(rows)];
        switch (r.below(8)) {
        case 0: p.temperature = r.of({-1.0f, -1e-30f, NAN, INFINITY, -INFINITY}); break;
        case 3: p.min_p = r.of({-1.0f, 1.0001f, NAN, INFINITY}); break;
        case 4: p.logprobs = r.of({2u + INTARSIA_MAX_LOGPROBS, 0xFFFFFFFFu}); break;
        case 5: p.target = r.of({graph.logits + 1, 0x80000000u, 0xFFFFFFFFu}); break;
        case 6: p.state = r.of({step.most.max_sequences + 1, 0x80000000u, 0xFFFFFFFFu}); break;
        case 7:
            p.target = 1;
            p.state = r.from(1, step.most.max_sequences);
            break;
        case 1: p.top_p = r.of({0.0f, -0.0f, -1.0f, 1.0001f, NAN, INFINITY}); break;
        case 2: p.top_k = r.of({-1, INT_MIN}); break;
        default: p.reserved = r.of({1u, 0xFFFFFFFFu});
        }
        return true;
    }
    // Every row got a token of the vocabulary.
    void check_sampled(uint32_t rows) const {
        for (uint32_t row = 0; row < rows; row++) {
            const int32_t sampled = step.ints(INTARSIA_BUFFER_SAMPLED)[row];
            EXPECT_TRUE(sampled >= 0 && static_cast<uint32_t>(sampled) < graph.logits)
                << "row " << row << ": " << sampled;
            const intarsia_sampling &p = step.sampling()[row];
            if (p.target != 0) {
                EXPECT_EQ(static_cast<uint32_t>(sampled), p.target - 1);
            }
            if (p.logprobs != 0) check_logprobs(row, sampled, p.logprobs);
        }
    }

private:
    intarsia_sampling parameters() {
        return {.temperature = r.of({0.0f, 1e-30f, 0.01f, 1.0f, 3e38f}),
                .top_p = r.of({1.0f, 0.9f, 1e-30f}),
                .top_k = r.of({0, 0, 1, 5, INT_MAX}),
                .reserved = 0,
                .seed = r.bits(),
                .position = r.bits(),
                .min_p = r.of({0.0f, 0.0f, 1e-30f, 0.1f, 1.0f}),
                .logprobs = r.once_in(2) ? 0 : r.from(0, 1 + INTARSIA_MAX_LOGPROBS),
                .state = 0,
                .target = graph.logits == 0 || !r.once_in(5) ? 0 : r.from(1, graph.logits)};
    }
    // A row's own token, then others in falling order.
    void check_logprobs(uint32_t row, int32_t sampled, uint32_t count) const {
        const uint64_t at = uint64_t{row} * (1 + INTARSIA_MAX_LOGPROBS);
        const int32_t *tokens = step.ints(INTARSIA_BUFFER_LOGPROB_TOKENS) + at;
        const auto *values = static_cast<const float *>(step.buffers[INTARSIA_BUFFER_LOGPROBS].address) + at;
        const int32_t rank = step.ints(INTARSIA_BUFFER_RANKS)[row];
        EXPECT_EQ(tokens[0], sampled);
        EXPECT_TRUE(rank >= 1 && static_cast<uint32_t>(rank) <= graph.logits) << rank;
        for (uint32_t i = 0; i < count; i++) {
            EXPECT_TRUE(tokens[i] >= -1 && tokens[i] < static_cast<int32_t>(graph.logits)) << tokens[i];
            EXPECT_TRUE(std::isnan(values[i]) || values[i] <= 1e-6f) << values[i];
            EXPECT_TRUE(i < 2 || !(values[i] > values[i - 1])) << values[i];
        }
    }
    int32_t *table(uint32_t sequence) const { return tables + uint64_t{sequence} * step.most.max_blocks; }

    // No two tokens in one slot: which of them would stay there is nobody's promise.
    void separate() {
        std::set<int32_t> seen;
        for (uint32_t t = 0; t < step.most.max_tokens; t++)
            if (slots[t] >= 0 && !seen.insert(slots[t]).second) slots[t] = -1;
    }

    Random &r;
    const Step &step;
    const Graph &graph;
    int32_t *tokens, *positions, *slots, *rows, *starts, *lengths, *tables;
};

} // namespace intarsia::fuzz
