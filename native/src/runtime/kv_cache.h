// The paged KV cache: for each layer a pool of blocks of 16 positions, addressed by slot = block * 16 + offset.
#pragma once

#include <memory>

#include "cpu/args.h"
#include "runtime/device.h"
#include "runtime/memory.h"

namespace intarsia {

class KvCache {
public:
    KvCache(std::shared_ptr<Device> device, cpu::Storage storage, uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t blocks);

    cpu::KvLayer layer(uint32_t index) const;
    cpu::Storage storage() const { return storage_; }
    uint32_t layers() const { return layers_; }
    uint32_t kv_heads() const { return kv_heads_; }
    uint32_t head_dim() const { return head_dim_; }
    uint32_t blocks() const { return blocks_; }
    uint64_t bytes() const { return memory_.bytes(); }
    const std::shared_ptr<Device> &device() const { return device_; }

private:
    std::shared_ptr<Device> device_;
    cpu::Storage storage_;
    uint32_t layers_, kv_heads_, head_dim_, blocks_;
    uint64_t key_bytes_, value_bytes_; // of one layer
    Memory memory_;                    // the host's system gives pages only when they are first written
};

} // namespace intarsia
