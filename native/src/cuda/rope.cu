// Positions to cosines and sines: the angle in f32, the functions in f64, by the same steps as on the CPU.
#include "cuda/kernels.h"
#include "cuda/rows.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kThreads = 64;

// Of an angle |x| < 2^50, to about 1e-16; NaN for others. x = n pi / 2 + r with pi / 2 in three parts; on |r| <= pi / 4 the Taylor
// series end below 1e-17. (See cpu/math.h.)
__device__ void sin_cos(float angle, double &sine, double &cosine) {
    const double x = angle;
    if (!(x < 0x1p50 && x > -0x1p50)) {
        sine = cosine = nan("");
        return;
    }
    const double magic = 0x1.8p52;
    const double shifted = fma(x, 0x1.45f306dc9c883p-1, magic);
    const double n = __dsub_rn(shifted, magic);
    double r = fma(-n, 0x1.921fb54442d18p+0, x);
    r = fma(-n, 0x1.1a62633145c07p-54, r);
    r = fma(n, 0x1.f1976b8p-110, r);
    const double s = __dmul_rn(r, r);
    double odd = -1.0 / 355687428096000; // 17!
    odd = fma(-odd, s, 1.0 / 1307674368000);
    odd = fma(-odd, s, 1.0 / 6227020800);
    odd = fma(-odd, s, 1.0 / 39916800);
    odd = fma(-odd, s, 1.0 / 362880);
    odd = fma(-odd, s, 1.0 / 5040);
    odd = fma(-odd, s, 1.0 / 120);
    odd = fma(-odd, s, 1.0 / 6);
    const double a = fma(__dmul_rn(-odd, s), r, r);
    double even = 1.0 / 20922789888000; // 16!
    even = fma(-even, s, 1.0 / 87178291200);
    even = fma(-even, s, 1.0 / 479001600);
    even = fma(-even, s, 1.0 / 3628800);
    even = fma(-even, s, 1.0 / 40320);
    even = fma(-even, s, 1.0 / 720);
    even = fma(-even, s, 1.0 / 24);
    even = fma(-even, s, 1.0 / 2);
    const double b = fma(-even, s, 1.0);
    const uint32_t quarter = static_cast<uint32_t>(__double_as_longlong(shifted)) & 3;
    sine = quarter % 2 == 0 ? a : b;
    cosine = quarter % 2 == 0 ? b : a;
    sine = quarter >= 2 ? -sine : sine;
    cosine = quarter == 1 || quarter == 2 ? -cosine : cosine;
}

__global__ void __launch_bounds__(kThreads)
    rope_table(const int32_t *positions, const float *inverse_frequencies, float *out, uint32_t half, float scale) {
    wait_for_earlier();
    let_next_start();
    const uint32_t j = blockIdx.y * kThreads + threadIdx.x;
    if (j >= half) {
        return;
    }
    double sine, cosine;
    sin_cos(__fmul_rn(static_cast<float>(positions[blockIdx.x]), inverse_frequencies[j]), sine, cosine);
    float *to = out + uint64_t{blockIdx.x} * 2 * half;
    to[j] = static_cast<float>(__dmul_rn(cosine, scale));
    to[half + j] = static_cast<float>(__dmul_rn(sine, scale));
}

} // namespace

void launch(const Context &context, const cpu::RopeTableArgs &args) {
    if (args.n == 0 || args.half == 0) {
        return;
    }
    launch(context, "rope_table", rope_table, dim3(args.n, ceil_div(args.half, kThreads)), dim3(kThreads), 0, args.positions,
           args.inverse_frequencies, args.out, args.half, args.scale);
}

} // namespace intarsia::cuda
