#include "compile/executable.h"

#include <algorithm>
#include <cstring>

#include "api/guard.h"

using namespace intarsia;
using namespace intarsia::api;

namespace {

constexpr uint64_t kMostArtifact = uint64_t{1} << 20;

} // namespace

extern "C" {

void intarsia_partition_destroy(intarsia_partition *partition) { destroy(partition); }

intarsia_status intarsia_partition_query(intarsia_partition *partition, intarsia_partition_info *out_info) {
    return guarded(__func__, [&] {
        const auto target = get(partition);
        intarsia_partition_info &info = checked_struct(out_info, "out_info");
        info.pieces = static_cast<uint32_t>(target->pieces().size());
        info.classes = static_cast<uint32_t>(target->classes().size());
        info.values = 0;
        for (uint32_t v = 0; v < target->graph()->values().size(); v++) {
            const auto where = target->placement(v).where;
            info.values += where == Placement::Where::SLOT || where == Placement::Where::LOGITS;
        }
        info.bytes_per_token = info.bytes_per_row = 0;
        for (const Slot &slot : target->slots()) (slot.dim == Dim::TOKENS ? info.bytes_per_token : info.bytes_per_row) += slot.row_bytes;
    });
}

intarsia_status intarsia_partition_piece(intarsia_partition *partition, uint32_t piece, intarsia_piece_info *out_info) {
    return guarded(__func__, [&] {
        const auto target = get(partition);
        checked_struct(out_info, "out_info");
        const Piece &p = target->piece(piece);
        const uint32_t frozen = target->graph()->frozen(p.dim);
        *out_info = {
            .struct_size = sizeof(intarsia_piece_info),
            .kind = p.splitting ? uint32_t{INTARSIA_PIECE_SPLITTING} : uint32_t{INTARSIA_PIECE_PLAIN},
            .dimension = static_cast<uint32_t>(p.dim),
            .symbolic = frozen == 0,
            .frozen = frozen,
            .class_id = p.class_id,
            .ops = static_cast<uint32_t>(p.ops.size()),
            .inputs = static_cast<uint32_t>(p.inputs.size()),
            .outputs = static_cast<uint32_t>(p.outputs.size()),
            .reserved = 0,
            .weight_bytes = target->weight_bytes(piece),
            .flops_per_row = target->flops_per_row(piece),
        };
    });
}

intarsia_status intarsia_partition_describe(intarsia_partition *partition, uint32_t piece, char *buffer, uint64_t capacity,
                                            uint64_t *out_needed) {
    return guarded(__func__, [&] { copy_text(get(partition)->describe(piece), buffer, capacity, out_needed); });
}

intarsia_status intarsia_partition_class(intarsia_partition *partition, uint32_t piece, char *buffer, uint64_t capacity,
                                         uint64_t *out_needed) {
    return guarded(__func__, [&] { copy_text(get(partition)->canonical(piece), buffer, capacity, out_needed); });
}

intarsia_status intarsia_compile(intarsia_partition *partition, uint32_t piece, const intarsia_compile_options *options,
                                 intarsia_executable **out_executable) {
    return guarded(__func__, [&] {
        auto target = get(partition);
        const auto &o = checked_struct(options, "options");
        checked(out_executable, "out_executable");
        if ((o.flags & ~uint32_t{INTARSIA_COMPILE_NO_FUSION | INTARSIA_COMPILE_MEASURE}) != 0)
            fail(INTARSIA_INVALID_ARGUMENT, "options.flags has unknown bits: 0x%x", o.flags);
        if (o.artifact_bytes > kMostArtifact)
            fail(INTARSIA_INVALID_ARGUMENT, "options.artifact_bytes is %llu, not in 0..%llu",
                 static_cast<unsigned long long>(o.artifact_bytes), static_cast<unsigned long long>(kMostArtifact));
        if (o.artifact_bytes != 0) checked(o.artifact, "options.artifact");
        const uint32_t class_id = target->piece(piece).class_id;
        auto executable =
            std::make_shared<Executable>(std::move(target), class_id, o.lo, o.hi, (o.flags & INTARSIA_COMPILE_NO_FUSION) == 0);
        if (o.artifact_bytes != 0) executable->adopt({static_cast<const char *>(o.artifact), o.artifact_bytes});
        else if ((o.flags & INTARSIA_COMPILE_MEASURE) != 0) executable->measure();
        *out_executable = make_handle<intarsia_executable>(std::move(executable));
    });
}

void intarsia_executable_destroy(intarsia_executable *executable) { destroy(executable); }

intarsia_status intarsia_executable_query(intarsia_executable *executable, intarsia_executable_info *out_info) {
    return guarded(__func__, [&] {
        const auto target = get(executable);
        checked_struct(out_info, "out_info");
        *out_info = {
            .struct_size = sizeof(intarsia_executable_info),
            .lo = target->lo(),
            .hi = target->hi(),
            .kernels = static_cast<uint32_t>(target->instructions().size()),
            .arena_bytes = target->arena_bytes(),
        };
    });
}

intarsia_status intarsia_executable_artifact(intarsia_executable *executable, void *buffer, uint64_t capacity, uint64_t *out_needed) {
    return guarded(__func__, [&] {
        const std::string artifact = get(executable)->artifact();
        checked(out_needed, "out_needed");
        if (capacity != 0) std::memcpy(checked(buffer, "buffer"), artifact.data(), std::min<uint64_t>(capacity, artifact.size()));
        *out_needed = artifact.size();
    });
}

intarsia_status intarsia_executable_describe(intarsia_executable *executable, char *buffer, uint64_t capacity, uint64_t *out_needed) {
    return guarded(__func__, [&] { copy_text(get(executable)->describe(), buffer, capacity, out_needed); });
}

} // extern "C"
