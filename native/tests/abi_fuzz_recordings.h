// Recordings: made of what a step would run, replayed on steps that fit and on others.
#pragma once

#include "abi_fuzz_steps.h"

namespace intarsia::fuzz {

class Recordings {
public:
    Recordings(Objects &objects, Steps &steps) : o(objects), s(objects.session), r(objects.random), steps(steps) {}

    // A whole step, executed and recorded: the same bits.
    void run(const Ref<Step> &step) {
        const std::vector<uint32_t> bits = steps.run(*step);
        if (bits.empty()) return;
        const Calm calm(s);
        const Ref<Recording> recording = make(step, every_piece(*step, 0), r.below(2));
        if (!recording) return;
        Buffers buffers(r, *step);
        buffers.sampling(step->sizes.rows, false);
        if (FUZZ_CALL(s, intarsia_replay, step->handle, recording->handle)) {
            EXPECT_EQ(buffers.logits(), bits) << "a recording and the executables that it was made of differ";
        }
    }

    // Some pieces in any order, or pieces that cannot be recorded.
    void record(const Ref<Step> &step) {
        Parts parts;
        if (step->begun) {
            const Calm calm(s);
            parts = every_piece(*step, r.below(2));
            for (uint32_t drop = r.once_in(2) ? 0 : r.below(4); drop > 0 && parts.size() > 1; drop--)
                parts.erase(parts.begin() + r.below(static_cast<uint32_t>(parts.size())));
            if (!parts.empty() && r.once_in(4)) parts.push_back(r.of(parts));
        } else if (!o.executables.empty()) {
            parts.push_back({0, r.of(o.executables)});
        }
        make(step, parts, r.below(2));
    }

    void ask() {
        if (o.recordings.empty()) return;
        const Recording &recording = *r.of(o.recordings);
        Out<intarsia_recording_info> out(s);
        if (FUZZ_CALL(s, intarsia_recording_query, o.given(recording.handle), out)) check(recording, out.value());
    }

    // On its step, or on another.
    void replay(const Recording &recording) {
        const bool own = o.steps.empty() || !r.once_in(8);
        Step &step = own ? *recording.step : *r.of(o.steps);
        const bool lives =
            std::any_of(o.steps.begin(), o.steps.end(), [&](const auto &other) { return other.get() == &step; });
        if (!lives) return replay_on_dead(step, recording);
        if (r.once_in(8)) return enqueue(step, recording);
        if (r.once_in(3)) return replay_step(step, recording);
        if (!step.begun && r.once_in(2)) {
            Buffers buffers(r, step);
            buffers.noise();
            if (const auto sizes = buffers.prepare(recording.tokens, recording.rows)) steps.begin(step, *sizes);
        }
        const bool fits = &step == recording.step.get() && step.begun && serves(recording, step.sizes);
        const uint32_t rows = step.begun && recording.samples ? step.sizes.rows : 0;
        Buffers buffers(r, step);
        s.next.wrong |= !fits;
        s.next.wrong |= buffers.sampling(rows, s.spoils());
        bool replayed = false;
        if (r.once_in(2)) {
            replayed = FUZZ_CALL(s, intarsia_replay, o.given(step.handle), o.given(recording.handle));
        } else {
            const uint32_t calls = recording.kernels + recording.samples;
            const uint32_t count = o.number(calls, {0u, calls + 1, 0xFFFFFFFFu});
            const Answers<uint64_t> nanoseconds(s, calls);
            replayed = FUZZ_CALL(s, intarsia_replay_profile, o.given(step.handle), o.given(recording.handle),
                                 nanoseconds, count);
            EXPECT_TRUE(!replayed || nanoseconds.written());
        }
        if (replayed) buffers.check_sampled(rows);
    }

private:
    struct Part {
        uint32_t piece;
        Ref<Executable> executable;
    };
    using Parts = std::vector<Part>;

    // Of the step that was begun, in order; none if an executable is missing.
    Parts every_piece(const Step &step, uint32_t flags) {
        Parts parts;
        for (uint32_t piece = 0; piece < step.partition->pieces.size(); piece++) {
            const uint32_t n = Steps::size(step, piece);
            if (n == 0) continue;
            const Ref<Executable> executable = steps.executable_for(step, piece, n, flags);
            if (!executable) return {};
            parts.push_back({piece, executable});
        }
        return parts;
    }

    Ref<Recording> make(const Ref<Step> &step, const Parts &parts, uint32_t samples) {
        bool over[2] = {false, samples != 0};
        std::vector<uint32_t> pieces;
        std::vector<intarsia_executable *> executables;
        for (const Part &part : parts) {
            const auto &known = step->partition->pieces;
            if (step->begun) over[known[part.piece].dimension] = true;
            pieces.push_back(o.number(part.piece, {static_cast<uint32_t>(known.size()), 0x80000000u, 0xFFFFFFFFu}));
            const Foretold before = s.next;
            executables.push_back(o.given(part.executable->handle));
            if (executables.back() != part.executable->handle)
                s.next = {.wrong = true, .wrong_handle = before.wrong_handle, .unsure = true};
        }
        const uint32_t flags = o.number(samples, {2u, 3u, 0x80000000u, 0xFFFFFFFFu});
        const uint32_t count = o.number(static_cast<uint32_t>(parts.size()), {(1u << 20) + 1, 0xFFFFFFFFu});
        s.next.wrong |= !step->begun || parts.empty() || (samples != 0 && step->partition->graph->logits == 0);
        const Array pieces_in(s, pieces);
        const Array executables_in(s, executables);
        Out<intarsia_recording *> out(s);
        if (!FUZZ_CALL(s, intarsia_record, o.given(step->handle), pieces_in, executables_in, count, flags, out))
            return {};
        Recording made{out.value(),  step, over[0] ? step->sizes.tokens : 0, over[1] ? step->sizes.rows : 0,
                       samples != 0, 0};
        const Calm calm(s);
        Out<intarsia_recording_info> info(s);
        if (FUZZ_CALL(s, intarsia_recording_query, made.handle, info)) {
            made.kernels = info.value().kernels;
            check(made, info.value());
        }
        if (o.recordings.size() > 20) o.destroy(o.recordings, r.below(20));
        o.remember(o.recordings, made);
        return o.recordings.back();
    }

    static void check(const Recording &recording, const intarsia_recording_info &info) {
        EXPECT_EQ(info.tokens, recording.tokens);
        EXPECT_EQ(info.rows, recording.rows);
        EXPECT_EQ(info.samples, recording.samples);
        EXPECT_EQ(info.kernels, recording.kernels);
        EXPECT_EQ(info.reserved, 0u);
    }

    static bool serves(const Recording &recording, const Step::Sizes &sizes) {
        return (recording.tokens == 0 || recording.tokens == sizes.tokens) &&
               (recording.rows == 0 || recording.rows == sizes.rows);
    }

    void replay_on_dead(const Step &step, const Recording &recording) {
        s.next.wrong = s.next.wrong_handle = true;
        FUZZ_CALL(s, intarsia_replay, step.handle, o.given(recording.handle));
    }

    // The CPU enqueues nothing.
    void enqueue(Step &step, const Recording &recording) {
        s.next.wrong = true;
        if (r.once_in(2)) FUZZ_CALL(s, intarsia_step_collect, o.given(step.handle));
        else FUZZ_CALL(s, intarsia_step_enqueue, o.given(step.handle), o.given(recording.handle), r.below(4));
    }

    void replay_step(Step &step, const Recording &recording) {
        Buffers buffers(r, step);
        Step::Sizes sizes = buffers.noise();
        if (!r.once_in(8)) sizes = buffers.prepare(recording.tokens, recording.rows).value_or(sizes);
        if (s.chaos != 0 && r.once_in(3)) buffers.damage(sizes);
        sizes.tokens = recording.tokens;
        sizes.rows = recording.rows;
        const uint32_t rows = recording.samples ? std::min(sizes.rows, step.most.max_rows) : 0;
        s.next.wrong |= &step != recording.step.get() || !buffers.valid(sizes);
        s.next.wrong |= buffers.sampling(rows, s.spoils());
        if (FUZZ_CALL(s, intarsia_replay_step, o.given(step.handle), o.given(recording.handle), sizes.sequences)) {
            step.begun = true;
            step.sizes = sizes;
            buffers.check_sampled(rows);
        } else {
            steps.end(step);
        }
    }

    Objects &o;
    Session &s;
    Random &r;
    Steps &steps;
};

} // namespace intarsia::fuzz
