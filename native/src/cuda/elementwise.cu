// Kernels without reductions: silu(gate) * up, sums, rounding, chosen rows. Four elements a thread where rows allow it.
#include "cuda/kernels.h"
#include "cuda/rows.h"
#include "cuda/silu.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kThreads = 256;

// out[row, i] = f(row, i) for all rows; `four` where rows are whole groups of four at multiples of 16 bytes.
struct Grid {
    uint32_t n;
    uint32_t units; // of a row: groups of four, or elements

    __device__ bool find(uint32_t &row, uint32_t &unit) const {
        const uint64_t at = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
        if (at >> 32 == 0) { // the short division
            row = static_cast<uint32_t>(at) / units;
            unit = static_cast<uint32_t>(at) - row * units;
        } else {
            row = static_cast<uint32_t>(at / units);
            unit = static_cast<uint32_t>(at % units);
        }
        return at < uint64_t{n} * units;
    }
};

__device__ float4 load4(const float *from, uint64_t at) { return *reinterpret_cast<const float4 *>(from + at); }

struct SiluMul {
    const float *gate, *up;
    __device__ float one(uint64_t at) const { return silu(gate[at]) * up[at]; }
    __device__ float4 four(uint64_t at) const {
        const float4 g = load4(gate, at);
        const float4 u = load4(up, at);
        return make_float4(silu(g.x) * u.x, silu(g.y) * u.y, silu(g.z) * u.z, silu(g.w) * u.w);
    }
};

struct Add {
    const float *a, *b;
    __device__ float one(uint64_t at) const { return a[at] + b[at]; }
    __device__ float4 four(uint64_t at) const {
        const float4 x = load4(a, at);
        const float4 y = load4(b, at);
        return make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
    }
};

struct Copy {
    const float *x;
    __device__ float one(uint64_t at) const { return x[at]; }
    __device__ float4 four(uint64_t at) const { return load4(x, at); }
};

template <bool Four, class F> __global__ void __launch_bounds__(kThreads) each(F f, Rows out, Grid grid) {
    wait_for_earlier();
    let_next_start();
    uint32_t row, unit;
    if (!grid.find(row, unit)) {
        return;
    }
    if constexpr (Four) {
        out.put4(row, unit * 4, f.four(uint64_t{row} * out.width + unit * 4));
    } else {
        out.put(row, unit, f.one(uint64_t{row} * out.width + unit));
    }
}

template <bool Four> __global__ void __launch_bounds__(kThreads) chosen(const float *x, const int32_t *rows, Rows out, Grid grid) {
    wait_for_earlier();
    let_next_start();
    uint32_t row, unit;
    if (!grid.find(row, unit)) {
        return;
    }
    const uint64_t from = uint64_t{static_cast<uint32_t>(rows[row])} * out.width;
    if constexpr (Four) {
        out.put4(row, unit * 4, load4(x, from + unit * 4));
    } else {
        out.put(row, unit, x[from + unit]);
    }
}

bool in_fours(uint32_t width, const Rows &out, const void *a, const void *b) {
    return width % 4 == 0 && aligned(out.data, out.narrow ? 8 : 16) && aligned(a, 16) && aligned(b, 16);
}

template <class F> void run(const Context &context, const char *name, F f, Rows out, uint32_t n, bool fours) {
    if (n == 0 || out.width == 0) {
        return;
    }
    const Grid grid = {n, fours ? out.width / 4 : out.width};
    const dim3 blocks(ceil_div(uint64_t{n} * grid.units, kThreads));
    launch(context, name, fours ? each<true, F> : each<false, F>, blocks, dim3(kThreads), 0, f, out, grid);
}

} // namespace

void launch(const Context &context, const cpu::SiluMulArgs &args) {
    const Rows out = rows_of(args.out, args.width, args.out_storage);
    run(context, "silu_mul", SiluMul{args.gate, args.up}, out, args.n, in_fours(args.width, out, args.gate, args.up));
}

void launch(const Context &context, const cpu::AddArgs &args) {
    const Rows out = rows_of(args.out, args.width, cpu::Storage::F32);
    run(context, "add", Add{args.a, args.b}, out, args.n, in_fours(args.width, out, args.a, args.b));
}

void launch(const Context &context, const cpu::RoundArgs &args) {
    const Rows out = rows_of(args.out, args.width, args.out_storage);
    run(context, "round", Copy{args.x}, out, args.n, in_fours(args.width, out, args.x, args.x));
}

void launch(const Context &context, const cpu::SelectRowsArgs &args) {
    if (args.n == 0 || args.width == 0) {
        return;
    }
    const Rows out = rows_of(args.out, args.width, cpu::Storage::F32);
    const bool fours = in_fours(args.width, out, args.x, args.x);
    const Grid grid = {args.n, fours ? args.width / 4 : args.width};
    const dim3 blocks(ceil_div(uint64_t{args.n} * grid.units, kThreads));
    launch(context, "select_rows", fours ? chosen<true> : chosen<false>, blocks, dim3(kThreads), 0, args.x, args.rows, out, grid);
}

} // namespace intarsia::cuda
