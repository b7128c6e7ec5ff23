#include "cuda/hopper.h"

#include "cuda/context.h"

namespace intarsia::cuda::hopper {

namespace {

using Encode = CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                            const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

Encode find_encode() {
    void *found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result) != cudaSuccess ||
        result != cudaDriverEntryPointSuccess) {
        cudaGetLastError();
        return nullptr;
    }
    return reinterpret_cast<Encode>(found);
}

Encode encode() {
    static const Encode found = find_encode();
    return found;
}

} // namespace

bool is_here(const Context &context) {
    int major = 0, minor = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, context.device);
    return major == 9 && minor == 0 && encode() != nullptr;
}

CUtensorMap map_of(const void *data, uint32_t rows, uint32_t k, uint32_t box_rows) {
    const cuuint64_t sizes[2] = {k, rows}, pitch[1] = {uint64_t{k} * 2};
    const cuuint32_t box[2] = {64, box_rows}, steps[2] = {1, 1};
    CUtensorMap map{};
    const CUresult result = encode()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void *>(data), sizes, pitch, box, steps,
                                     CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                     CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (result != CUDA_SUCCESS) check(cudaErrorInvalidValue, "describing a matrix to the copy engine");
    return map;
}

} // namespace intarsia::cuda::hopper
