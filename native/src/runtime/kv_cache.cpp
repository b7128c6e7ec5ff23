#include "runtime/kv_cache.h"

#include "runtime/error.h"

namespace intarsia {

namespace {

void check(const char *field, uint32_t value, uint32_t most) {
    if (value < 1 || value > most) fail(INTARSIA_INVALID_ARGUMENT, "KV cache: %s is %u, not in 1..%u", field, value, most);
}

} // namespace

KvCache::KvCache(std::shared_ptr<Device> device, cpu::Storage storage, uint32_t layers, uint32_t kv_heads, uint32_t head_dim,
                 uint32_t blocks)
    : device_(std::move(device)), storage_(storage), layers_(layers), kv_heads_(kv_heads), head_dim_(head_dim), blocks_(blocks) {
    check("layers", layers, 1 << 16);
    check("kv_heads", kv_heads, 1 << 12);
    check("head_dim", head_dim, 1024);
    if (head_dim % 2 != 0) fail(INTARSIA_INVALID_ARGUMENT, "KV cache: head_dim is %u, not even", head_dim);
    check("blocks", blocks, INT32_MAX / cpu::kBlock);
    const cpu::KvLayer geometry{nullptr, nullptr, kv_heads, head_dim, storage};
    key_bytes_ = geometry.key_bytes() * kv_heads * blocks;
    value_bytes_ = geometry.value_bytes() * kv_heads * blocks;
    if (layers > (uint64_t{1} << 46) / (key_bytes_ + value_bytes_))
        fail(INTARSIA_OUT_OF_MEMORY, "a KV cache of %u layers and %u blocks is larger than any memory; ask for fewer blocks", layers, blocks);
    memory_ = Memory((key_bytes_ + value_bytes_) * layers, "the KV cache", device_->gpu());
}

cpu::KvLayer KvCache::layer(uint32_t index) const {
    std::byte *base = memory_.data() + (key_bytes_ + value_bytes_) * index;
    return {base, base + key_bytes_, kv_heads_, head_dim_, storage_};
}

} // namespace intarsia
