// The CUDA kernels: one launcher for each op family, over the argument structs of the CPU's (cpu/args.h), whose comments say what each computes.
//
// What differs from the CPU: every address is one of device memory; a matrix is row-major [n outputs, k inputs] of f32 or bf16 at a multiple of
// 256 bytes; keys and values of a cache layer are [block][kv head][16 positions][head_dim] of f32 or bf16; the order of sums is as stated in
// each file. Rounding to bf16 happens at the same points, and the numbers of padding and of what was never written never enter. `room`, `each`,
// `by_head` and `blocking` mean nothing here. INT8 and INT4 do not occur.
//
// A launcher enqueues on the context's stream and returns. Its grid depends on the arguments by value only (n, widths, heads), so that a captured
// graph is right for any contents of the step's buffers: the number of sequences, their lengths and block tables are read by the kernel.
#pragma once

#include "compile/kernel_args.h"
#include "cuda/context.h"

namespace intarsia::cuda {

void launch(const Context &context, const cpu::EmbeddingArgs &args);
void launch(const Context &context, const cpu::NormArgs &args);
void launch(const Context &context, const cpu::LinearArgs &args);
void launch(const Context &context, const cpu::RopeTableArgs &args);
void launch(const Context &context, const cpu::QkvArgs &args);
void launch(const Context &context, const cpu::AttentionArgs &args);
void launch(const Context &context, const cpu::SiluMulArgs &args);
void launch(const Context &context, const cpu::AddArgs &args);
void launch(const Context &context, const cpu::SelectRowsArgs &args);
void launch(const Context &context, const cpu::RoundArgs &args);

// Finds out, where that is not known yet, which kernel is the fastest for such an op: by timing, which cannot be done while a stream is captured. Reads the
// inputs, whatever they hold, and writes nothing but scratch memory.
void prepare(const Context &context, const cpu::LinearArgs &args);

// norm, then linear over its result, which is read by nothing else and is not written. Only for few rows and a norm over whole rows.
bool can_launch(const Context &context, const cpu::NormArgs &norm, const cpu::LinearArgs &linear);
void launch(const Context &context, const cpu::NormArgs &norm, const cpu::LinearArgs &linear);

// norm, then a linear over it whose parts are q, k and v, then these made ready for attention. Neither the norm's result nor q, k and v are written, so
// nothing else may read them.
bool can_launch(const Context &context, const cpu::NormArgs &norm, const cpu::LinearArgs &linear, const cpu::QkvArgs &qkv);
void launch(const Context &context, const cpu::NormArgs &norm, const cpu::LinearArgs &linear, const cpu::QkvArgs &qkv);

// For many rows, where bits may depend on their number: the next calls as products that do besides what comes between them. A linear that adds, a norm of its
// result and the linear over that are two kernels; so is or joins them a linear and what makes its heads ready for attention. Answers how many calls were done, 0
// if no such begin here. `only_ask` launches nothing.
uint32_t launch_together(const Context &context, const KernelArgs *calls, uint32_t count, bool only_ask = false);

// The index of the first largest of each row of logits [rows, vocabulary], NaN counting as -infinity, to tokens [rows]; 0 where all are -infinity.
void launch_argmax(const Context &context, const float *logits, uint32_t rows, uint32_t vocabulary, int32_t *tokens);

} // namespace intarsia::cuda
