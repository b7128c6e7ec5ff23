// cuBLASLt, found when it is there and never linked to. For products of many rows.
#pragma once

#include <string>

#include "cpu/args.h"
#include "cuda/context.h"

namespace intarsia::cuda {

struct Blas;

// Null, with the reason, where it cannot be loaded. The device must be the current one.
Blas *load_blas(std::string &why_not);
void unload_blas(Blas *blas);

// A linear op by the library, a part at a time, if that was found to be faster than our own kernel (`ours` runs it); false if it is not to be, and nothing was
// done. For each kind of op (its widths, storage, epilogue, and rows up to a power of two) that is found out by timing when such an op first comes, but not
// while the stream is being captured: then what is not known yet is left to our own.
bool launch_blas(const Context &context, const cpu::LinearArgs &args, void (*ours)(const Context &, const cpu::LinearArgs &));

// Finds out what launch_blas would, and runs the op into scratch memory alone: before a recording.
void prepare_blas(const Context &context, const cpu::LinearArgs &args, void (*ours)(const Context &, const cpu::LinearArgs &));

// What was found out for ops like this one, as a line, empty if nothing was; and taking such lines over, after one that names the library's version, as far as
// the version is this one's.
std::string version_line(const Blas &blas);
std::string choice_line(const Blas &blas, const cpu::LinearArgs &args);
void adopt(Blas &blas, const std::string &choices);

} // namespace intarsia::cuda
