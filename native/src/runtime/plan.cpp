#include "runtime/plan.h"

#include <algorithm>

namespace intarsia {

namespace {

using cpu::Storage;

// Who touches what of a range of memory.
enum class Who : uint8_t {
    ANY,   // any member any part
    LAST,  // the last member all of it: the single unit of a call is dealt to it
    HEADS, // each member the part of its heads
    OWN,   // each member the row of its number
};

struct Access {
    uintptr_t begin, end;
    bool writes;
    Who who;
};

// Whether a member may find memory of one access changed by another member's other access.
bool conflict(const Access &a, const Access &b) {
    if (!(a.writes || b.writes) || a.end <= b.begin || b.end <= a.begin) return false;
    if (a.who != b.who || a.who == Who::ANY) return true;
    return a.who != Who::LAST && (a.begin != b.begin || a.end != b.end); // not the same division
}

// What a call reads that a recording writes, and what it writes.
class Accesses {
public:
    Accesses(uint32_t tokens, uint32_t threads) : tokens_(tokens), threads_(threads) {}

    const std::vector<Access> &of(const KernelArgs &call, const CallPlan &plan) {
        found_.clear();
        plan_ = plan;
        std::visit(*this, call);
        return found_;
    }

    void operator()(const cpu::EmbeddingArgs &a) { add(a.out, a.n, a.weight.k, Storage::F32, true, rows(a.n)); }
    void operator()(const cpu::NormArgs &a) {
        const Who who = rows(uint64_t{a.n} * (a.width / a.group));
        add(a.x, a.n, a.width, Storage::F32, false, a.each ? Who::ANY : who);
        add(a.out, a.each ? threads_ : a.n, a.width, a.out_storage, true, a.each ? Who::OWN : who);
    }
    void operator()(const cpu::LinearArgs &a) {
        const cpu::Matrix &first = a.parts[0].weight;
        add(a.x, plan_.own_row ? threads_ : a.n, first.k, cpu::input_storage(first.storage), false, plan_.own_row ? Who::OWN : Who::ANY);
        if (a.epilogue == cpu::Epilogue::ADD) add(a.residual, a.n, first.n, Storage::F32, false, Who::ANY);
        const uint32_t outs = a.epilogue == cpu::Epilogue::STORE ? a.part_count : 1;
        const Storage storage = a.epilogue == cpu::Epilogue::ADD ? Storage::F32 : a.out_storage;
        for (uint32_t i = 0; i < outs; i++)
            add(a.parts[i].out, a.n, a.parts[i].weight.n, storage, true, plan_.by_head ? Who::HEADS : Who::ANY);
    }
    void operator()(const cpu::RopeTableArgs &a) { add(a.out, a.n, 2 * a.half, Storage::F32, true, rows(a.n)); }
    void operator()(const cpu::QkvArgs &a) {
        const Who who = a.by_head ? Who::HEADS : Who::ANY;
        for (const cpu::HeadsArgs *heads : {&a.q, &a.k}) {
            if (heads->x == nullptr) continue;
            add(heads->x, a.n, heads->heads * heads->head_dim, Storage::F32, false, who);
            if (heads->table != nullptr) add(heads->table, a.n, heads->head_dim, Storage::F32, false, Who::ANY);
            if (heads->out != nullptr) add(heads->out, a.n, heads->heads * heads->head_dim, heads->out_storage, true, who);
        }
        if (a.v != nullptr) add(a.v, a.n, a.cache.kv_heads * a.cache.head_dim, Storage::F32, false, who);
        cache(a.cache, true, who);
    }
    void operator()(const cpu::AttentionArgs &a) {
        const Who who = a.by_head ? Who::HEADS : Who::ANY;
        const uint32_t width = a.heads * a.cache.head_dim;
        add(a.q, a.n, width, a.q_storage, false, who);
        add(a.out, a.n, width, a.out_storage, true, Who::ANY); // padding is zeroed by whoever
        cache(a.cache, false, who);
    }
    void operator()(const cpu::SiluMulArgs &a) {
        add(a.gate, a.n, a.width, Storage::F32, false, rows(a.n));
        add(a.up, a.n, a.width, Storage::F32, false, rows(a.n));
        add(a.out, a.n, a.width, a.out_storage, true, rows(a.n));
    }
    void operator()(const cpu::AddArgs &a) {
        add(a.a, a.n, a.width, Storage::F32, false, rows(a.n));
        add(a.b, a.n, a.width, Storage::F32, false, rows(a.n));
        add(a.out, a.n, a.width, Storage::F32, true, rows(a.n));
    }
    void operator()(const cpu::SelectRowsArgs &a) {
        add(a.x, tokens_, a.width, Storage::F32, false, rows(a.n));
        add(a.out, a.n, a.width, Storage::F32, true, rows(a.n));
    }
    void operator()(const cpu::RoundArgs &a) {
        add(a.x, a.n, a.width, Storage::F32, false, rows(a.n));
        add(a.out, a.n, a.width, a.out_storage, true, rows(a.n));
    }

private:
    static Who rows(uint64_t units) { return units == 1 ? Who::LAST : Who::ANY; }

    void add(const void *data, uint64_t rows, uint32_t width, Storage storage, bool writes, Who who) {
        const auto begin = reinterpret_cast<uintptr_t>(data);
        found_.push_back({begin, begin + rows * row_bytes(width, storage), writes, who});
    }

    // A layer of the cache overlaps nothing else, so that its first bytes stand for it.
    void cache(const cpu::KvLayer &layer, bool writes, Who who) {
        for (const void *data : {layer.keys, layer.values}) {
            const auto begin = reinterpret_cast<uintptr_t>(data);
            if (data != nullptr) found_.push_back({begin, begin + 1, writes, who});
        }
    }

    const uint32_t tokens_, threads_;
    CallPlan plan_;
    std::vector<Access> found_;
};

// Whether the parts of a linear are what is made ready as q, k and v, all of it and nothing else, in whole tiles for each member.
bool feeds_heads(const cpu::LinearArgs &linear, const cpu::QkvArgs &heads, uint32_t threads) {
    const cpu::KvLayer &cache = heads.cache;
    if (linear.epilogue != cpu::Epilogue::STORE || linear.out_storage != Storage::F32 || linear.n != 1) return false;
    if (heads.q.x == nullptr || heads.k.x == nullptr || heads.v == nullptr || heads.n != 1) return false;
    if (cache.kv_heads % threads != 0 || cache.head_dim % cpu::kTile != 0 || heads.q.heads % cache.kv_heads != 0) return false;
    if (heads.k.heads != cache.kv_heads || heads.k.head_dim != cache.head_dim || heads.q.head_dim != cache.head_dim) return false;
    const struct {
        const float *x;
        uint32_t heads;
    } wanted[] = {{heads.q.x, heads.q.heads}, {heads.k.x, cache.kv_heads}, {heads.v, cache.kv_heads}};
    if (linear.part_count != std::size(wanted)) return false;
    const auto makes = [&](const cpu::LinearPart &part, const auto &input) {
        return part.out == input.x && part.weight.n == input.heads * cache.head_dim;
    };
    const auto is_made = [&](const auto &input) {
        return std::any_of(linear.parts, linear.parts + linear.part_count, [&](const cpu::LinearPart &part) { return makes(part, input); });
    };
    const auto is_wanted = [&](const cpu::LinearPart &part) {
        return std::any_of(std::begin(wanted), std::end(wanted), [&](const auto &input) { return makes(part, input); });
    };
    return std::all_of(std::begin(wanted), std::end(wanted), is_made) && std::all_of(linear.parts, linear.parts + linear.part_count, is_wanted);
}

} // namespace

std::vector<CallPlan> plan_calls(std::vector<KernelArgs> &calls, uint32_t tokens, uint32_t threads) {
    std::vector<CallPlan> plan(calls.size());
    Accesses accesses(tokens, threads);
    std::vector<Access> since; // the last meeting
    Access own{};              // what the last norm wrote that each member did for itself, until its memory is used again
    for (size_t i = 0; i < calls.size(); i++) {
        if (auto *norm = std::get_if<cpu::NormArgs>(&calls[i])) {
            norm->each = norm->n == 1 && norm->group == norm->width && norm->room >= threads;
        } else if (auto *linear = std::get_if<cpu::LinearArgs>(&calls[i])) {
            plan[i].own_row = own.end != 0 && reinterpret_cast<uintptr_t>(linear->x) == own.begin;
            auto *heads = i + 1 < calls.size() ? std::get_if<cpu::QkvArgs>(&calls[i + 1]) : nullptr;
            if (heads != nullptr && feeds_heads(*linear, *heads, threads)) plan[i].by_head = heads->by_head = true;
        } else if (auto *attention = std::get_if<cpu::AttentionArgs>(&calls[i])) {
            attention->by_head = attention->n == 1 && attention->cache.kv_heads % threads == 0;
        }

        const std::vector<Access> &now = accesses.of(calls[i], plan[i]);
        plan[i].meets = std::any_of(now.begin(), now.end(), [&](const Access &a) {
            return std::any_of(since.begin(), since.end(), [&](const Access &b) { return conflict(a, b); });
        });
        if (plan[i].meets) since.clear();
        since.insert(since.end(), now.begin(), now.end());
        for (const Access &access : now) {
            if (access.writes && access.begin < own.end && own.begin < access.end) own = {};
            if (access.writes && access.who == Who::OWN) own = access;
        }
    }
    return plan;
}

cpu::LinearArgs member_part(const cpu::LinearArgs &args, const CallPlan &plan, cpu::Share member) {
    cpu::LinearArgs part = args;
    const cpu::Matrix &first = args.parts[0].weight;
    if (plan.own_row) part.x = static_cast<const std::byte *>(args.x) + member.index * row_bytes(first.k, cpu::input_storage(first.storage));
    if (!plan.by_head) return part;
    for (uint32_t i = 0; i < args.part_count; i++) {
        cpu::LinearPart &p = part.parts[i];
        const uint32_t outputs = p.weight.n / member.count;
        const uint64_t begin = uint64_t{outputs} * member.index;
        p.weight.data = static_cast<const std::byte *>(p.weight.data) + begin / cpu::kTile * cpu::tile_bytes(p.weight.k, p.weight.storage);
        p.weight.n = outputs;
        p.out = static_cast<float *>(p.out) + begin;
        if (p.bias != nullptr) p.bias += begin;
    }
    return part;
}

} // namespace intarsia
