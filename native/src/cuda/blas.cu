#include "cuda/blas.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "runtime/error.h"

namespace intarsia::cuda {

namespace {

using cpu::Storage;

// The few names of the library that are used here, as its documentation gives them.
using Handle = void *;
using Object = void *; // a description of a product or a matrix, or a preference
struct Algorithm {
    uint64_t data[8];
};
struct Candidate {
    Algorithm algorithm;
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};
constexpr int kCompute32F = 68, kReal32F = 0, kRealBF16 = 14;
constexpr int kTransposeA = 3, kTranspose = 1;
constexpr int kEpilogue = 7, kBias = 4, kBiasAddress = 8;
constexpr int kMostWorkspace = 1;
constexpr int kBatchCount = 5, kBatchOffset = 6;
constexpr size_t kWorkspace = size_t{32} << 20;

struct Functions {
    int (*create)(Handle *);
    int (*destroy)(Handle);
    int (*product_create)(Object *, int compute, int scale);
    int (*product_set)(Object, int attribute, const void *, size_t);
    int (*matrix_create)(Object *, int type, uint64_t rows, uint64_t columns, int64_t stride);
    int (*matrix_set)(Object, int attribute, const void *, size_t);
    int (*matrix_destroy)(Object);
    int (*product_destroy)(Object);
    int (*preference_create)(Object *);
    int (*preference_set)(Object, int attribute, const void *, size_t);
    int (*preference_destroy)(Object);
    int (*candidates)(Handle, Object product, Object a, Object b, Object c, Object d, Object preference, int wanted, Candidate *, int *found);
    int (*multiply)(Handle, Object product, const void *alpha, const void *a, Object, const void *b, Object, const void *beta, const void *c, Object,
                    void *d, Object, const Algorithm *, void *workspace, size_t, cudaStream_t);
};

// A kind of product and how it is done.
struct Plan {
    const Functions &functions;
    Object product = nullptr, a = nullptr, b = nullptr, c = nullptr, d = nullptr;
    std::optional<Algorithm> algorithm; // none: the library has no kernel

    explicit Plan(const Functions &of) : functions(of) {}
    Plan(const Plan &) = delete;
    Plan &operator=(const Plan &) = delete;
    ~Plan() {
        if (product != nullptr) functions.product_destroy(product);
        for (Object matrix : {a, b, c, d})
            if (matrix != nullptr) functions.matrix_destroy(matrix);
    }
};

// n, outputs, k, stride of x, weights, out, residual; bytes between two products' weights and outputs, 0 = one; bias
using Key = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t, Storage, Storage, bool, int64_t, int64_t, bool>;

} // namespace

struct Blas {
    Functions functions;
    Handle handle = nullptr;
    void *workspace = nullptr;
    std::map<Key, std::unique_ptr<Plan>> plans;
};

namespace {

bool find_all(void *library, Functions &f) {
    const auto find = [&](auto &function, const char *name) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
        return function != nullptr;
    };
    return find(f.create, "cublasLtCreate") && find(f.destroy, "cublasLtDestroy") && find(f.product_create, "cublasLtMatmulDescCreate") &&
           find(f.product_set, "cublasLtMatmulDescSetAttribute") && find(f.product_destroy, "cublasLtMatmulDescDestroy") &&
           find(f.matrix_create, "cublasLtMatrixLayoutCreate") && find(f.matrix_set, "cublasLtMatrixLayoutSetAttribute") &&
           find(f.matrix_destroy, "cublasLtMatrixLayoutDestroy") &&
           find(f.preference_create, "cublasLtMatmulPreferenceCreate") && find(f.preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
           find(f.preference_destroy, "cublasLtMatmulPreferenceDestroy") && find(f.candidates, "cublasLtMatmulAlgoGetHeuristic") &&
           find(f.multiply, "cublasLtMatmul");
}

int type_of(Storage storage) { return storage == Storage::F32 ? kReal32F : kRealBF16; }

void done(int status, const char *what) {
    if (status != 0) fail(INTARSIA_DEVICE_FAULT, "cuBLASLt, %s: status %d", what, status);
}

uint32_t stride_of(uint32_t width, Storage storage) { return storage == Storage::BF16 ? (width + 1) / 2 * 2 : width; }

// The library counts by columns: out' [outputs, n] = weight [outputs, k] x' [k, n].
std::unique_ptr<Plan> plan_of(Blas &blas, const Product &product, int64_t between_weights, int64_t between_outs) {
    const Functions &f = blas.functions;
    auto plan = std::make_unique<Plan>(f);
    done(f.product_create(&plan->product, kCompute32F, kReal32F), "describing a product");
    done(f.product_set(plan->product, kTransposeA, &kTranspose, sizeof kTranspose), "describing a product");
    if (product.bias != nullptr) {
        done(f.product_set(plan->product, kEpilogue, &kBias, sizeof kBias), "describing a bias");
        done(f.product_set(plan->product, kBiasAddress, &product.bias, sizeof product.bias), "describing a bias");
    }
    const cpu::Matrix &w = product.weight;
    done(f.matrix_create(&plan->a, type_of(w.storage), w.k, w.n, w.k), "describing weights");
    done(f.matrix_create(&plan->b, type_of(w.storage), w.k, product.n, product.x_stride), "describing inputs");
    done(f.matrix_create(&plan->c, type_of(product.out_storage), w.n, product.n, stride_of(w.n, product.out_storage)), "describing outputs");
    done(f.matrix_create(&plan->d, type_of(product.out_storage), w.n, product.n, stride_of(w.n, product.out_storage)), "describing outputs");
    if (product.second != nullptr) {
        const auto twice = [&](Object matrix, int64_t bytes, Storage storage) {
            const int32_t count = 2;
            const int64_t elements = bytes / cpu::element_bytes(storage);
            done(f.matrix_set(matrix, kBatchCount, &count, sizeof count), "describing two products");
            done(f.matrix_set(matrix, kBatchOffset, &elements, sizeof elements), "describing two products");
        };
        twice(plan->a, between_weights, w.storage);
        twice(plan->b, 0, w.storage);
        twice(plan->c, between_outs, product.out_storage);
        twice(plan->d, between_outs, product.out_storage);
    }
    Object preference = nullptr;
    done(f.preference_create(&preference), "asking for an algorithm");
    Candidate best{};
    int found = 0;
    f.preference_set(preference, kMostWorkspace, &kWorkspace, sizeof kWorkspace);
    const int status = f.candidates(blas.handle, plan->product, plan->a, plan->b, plan->c, plan->d, preference, 1, &best, &found);
    f.preference_destroy(preference);
    if (status == 0 && found > 0 && best.status == 0) plan->algorithm = best.algorithm;
    return plan;
}

} // namespace

Blas *load_blas(std::string &why_not) {
    void *library = nullptr;
    for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"})
        if ((library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) != nullptr) break;
    if (library == nullptr) {
        why_not = "there is no libcublasLt";
        return nullptr;
    }
    auto blas = std::make_unique<Blas>();
    if (!find_all(library, blas->functions)) {
        why_not = "libcublasLt lacks a function";
        return nullptr;
    }
    if (cudaMalloc(&blas->workspace, kWorkspace) != cudaSuccess || blas->functions.create(&blas->handle) != 0) {
        cudaGetLastError();
        cudaFree(blas->workspace);
        why_not = "libcublasLt cannot be started";
        return nullptr;
    }
    return blas.release();
}

void unload_blas(Blas *blas) {
    blas->plans.clear();
    blas->functions.destroy(blas->handle);
    cudaFree(blas->workspace);
    delete blas;
}

bool multiply(const Context &context, const Product &product) {
    Blas &blas = *context.blas;
    const auto between = [](const void *first, const void *second) {
        return second == nullptr ? 0 : static_cast<const std::byte *>(second) - static_cast<const std::byte *>(first);
    };
    const int64_t between_weights = between(product.weight.data, product.second);
    const int64_t between_outs = product.second == nullptr ? 0 : between(product.out, product.second_out);
    const Key key{product.n, product.weight.n, product.weight.k, product.x_stride, product.weight.storage, product.out_storage,
                  product.residual != nullptr, between_weights, between_outs, product.bias != nullptr};
    auto known = blas.plans.find(key);
    if (known == blas.plans.end()) known = blas.plans.emplace(key, plan_of(blas, product, between_weights, between_outs)).first;
    const Plan &plan = *known->second;
    if (!plan.algorithm) return false;
    if (product.bias != nullptr) done(blas.functions.product_set(plan.product, kBiasAddress, &product.bias, sizeof product.bias), "describing a bias");
    const float one = 1, beta = product.residual != nullptr ? 1 : 0;
    const void *c = product.residual != nullptr ? static_cast<const void *>(product.residual) : product.out;
    done(blas.functions.multiply(blas.handle, plan.product, &one, product.weight.data, plan.a, product.x, plan.b, &beta, c, plan.c, product.out, plan.d,
                                 &*plan.algorithm, blas.workspace, kWorkspace, context.stream),
         "a product");
    return true;
}

} // namespace intarsia::cuda
