/*
 * Intarsia: the C ABI of the native kernel and graph runtime.
 *
 * The order of use:  device -> weights -> graph -> partition -> executables, KV cache -> step -> execute, sample.
 *
 * Rules that hold for every function
 *  - A function returns INTARSIA_OK or an error status. On an error its out parameters are untouched, nothing else has changed, and
 *    intarsia_last_error() gives one sentence that says what was wrong and where. Nothing aborts, exits, prints or throws.
 *  - Handles are opaque and are never dereferenced by the caller. A null, destroyed, foreign or wrongly typed handle is
 *    INTARSIA_INVALID_HANDLE. intarsia_*_destroy(NULL) is fine. Objects keep what they depend on alive, so that the order of
 *    destruction is free; a handle is dead as soon as its own destroy returns.
 *  - Structs of options and of answers begin with `uint32_t struct_size`, which the caller sets to sizeof. Unknown sizes and unknown
 *    flags are INTARSIA_INVALID_ARGUMENT. Reserved fields are zero.
 *  - Strings are UTF-8 and zero-terminated, and are copied. Every other pointer is read or written only during the call, except
 *    the step buffers, which live as long as their step.
 *  - Every function may be called from any thread. Calls that use one object wait for each other.
 *  - The floating-point mode of the calling thread is the same after a call as before it.
 *
 * Symbolic dimensions: `tokens` (T), the tokens of a step, and `rows` (R), the positions of a step whose logits are wanted. Both can be
 * frozen to one size when a graph is created. All activations are matrices [T or R, width], row-major.
 */
#ifndef INTARSIA_H
#define INTARSIA_H

#include <stdint.h>

#if defined(__GNUC__)
#define INTARSIA_API __attribute__((visibility("default")))
#else
#define INTARSIA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a signature, struct or constant of this header changes its meaning. */
#define INTARSIA_ABI_VERSION 3
/* Stands for "no value", "no weight" where one is optional. */
#define INTARSIA_NONE 0xFFFFFFFFu
/* Positions in one block of the paged KV cache. */
#define INTARSIA_KV_BLOCK 16
/* Most of the likeliest tokens whose log-probabilities are given beside that of a row's own token. */
#define INTARSIA_MAX_LOGPROBS 20

typedef int32_t intarsia_status;

enum intarsia_status_code {
    INTARSIA_OK = 0,
    INTARSIA_INVALID_ARGUMENT = 1,
    INTARSIA_INVALID_HANDLE = 2,
    INTARSIA_INVALID_STATE = 3,
    INTARSIA_OUT_OF_MEMORY = 4,
    INTARSIA_UNSUPPORTED = 5,
    INTARSIA_DEVICE_FAULT = 6,
    INTARSIA_INTERNAL = 7
};

enum intarsia_device_kind { INTARSIA_DEVICE_CPU = 0, INTARSIA_DEVICE_CUDA = 1 };

/* Element types of checkpoint tensors given to intarsia_weights_add. */
enum intarsia_dtype { INTARSIA_DTYPE_F32 = 0, INTARSIA_DTYPE_F16 = 1, INTARSIA_DTYPE_BF16 = 2 };

/*
 * Numeric mode. F32: weights widened to f32, everything computed in f32. BF16: weights, inputs of linear ops, q, k, v as cached and
 * attention probabilities are rounded to bf16 (nearest even); all else is f32.
 */
enum intarsia_precision { INTARSIA_PRECISION_F32 = 0, INTARSIA_PRECISION_BF16 = 1 };

/*
 * How the matrices of a weight set are held. NATIVE: in its precision. INT8: 8 bits with an f32 scale for each output. INT4: 4 bits with an
 * f16 scale for each output and 32 inputs. The inputs of linear ops over INT8 and INT4 matrices are quantized to 8 bits with an f32 scale for
 * each row, and the integer dot products are exact. Vectors are f32 in all of them.
 */
enum intarsia_weight_format { INTARSIA_WEIGHTS_NATIVE = 0, INTARSIA_WEIGHTS_INT8 = 1, INTARSIA_WEIGHTS_INT4 = 2 };

enum intarsia_dimension { INTARSIA_DIM_TOKENS = 0, INTARSIA_DIM_ROWS = 1 };

/* Inputs of a graph: i32 vectors that live in the step buffers of the same name. */
enum intarsia_input {
    INTARSIA_INPUT_TOKENS = 0,    /* [T] token ids */
    INTARSIA_INPUT_POSITIONS = 1, /* [T] position of each token in its sequence, from 0 */
    INTARSIA_INPUT_SLOTS = 2,     /* [T] where k and v of each token go: block * INTARSIA_KV_BLOCK + offset, or -1 for nowhere */
    INTARSIA_INPUT_ROWS = 3       /* [R] indices into T of the rows whose logits are wanted */
};

enum intarsia_op {
    INTARSIA_OP_INPUT = 0,
    INTARSIA_OP_EMBEDDING = 1,
    INTARSIA_OP_RMS_NORM = 2,
    INTARSIA_OP_LINEAR = 3,
    INTARSIA_OP_ROPE_TABLE = 4,
    INTARSIA_OP_ROPE = 5,
    INTARSIA_OP_CACHE_APPEND = 6,
    INTARSIA_OP_ATTENTION = 7,
    INTARSIA_OP_SILU_MUL = 8,
    INTARSIA_OP_ADD = 9,
    INTARSIA_OP_SELECT_ROWS = 10,
    INTARSIA_OP_EMPTY = 11
};

/* Buffers of a step, allocated once and written in place by the caller before intarsia_step_begin. */
enum intarsia_buffer {
    INTARSIA_BUFFER_TOKENS = 0,       /* i32 [max_tokens] */
    INTARSIA_BUFFER_POSITIONS = 1,    /* i32 [max_tokens] */
    INTARSIA_BUFFER_SLOTS = 2,        /* i32 [max_tokens] */
    INTARSIA_BUFFER_ROWS = 3,         /* i32 [max_rows] */
    INTARSIA_BUFFER_QUERY_STARTS = 4, /* i32 [max_sequences + 1]: tokens query_starts[s] .. query_starts[s + 1] belong to sequence s */
    INTARSIA_BUFFER_LENGTHS = 5,      /* i32 [max_sequences]: tokens of the sequence in the cache after this step's append */
    INTARSIA_BUFFER_BLOCK_TABLES = 6, /* i32 [max_sequences, max_blocks]: cache block of each 16 positions of a sequence */
    INTARSIA_BUFFER_SAMPLING = 7,     /* intarsia_sampling [max_rows] */
    INTARSIA_BUFFER_SAMPLED = 8,      /* i32 [max_rows], out: the token sampled for each row */
    INTARSIA_BUFFER_LOGITS = 9,       /* f32 [max_rows, vocabulary], out: of a CUDA device after intarsia_step_logits; sampling does not change them */
    INTARSIA_BUFFER_LOGPROBS = 10,    /* f32 [max_rows, 1 + INTARSIA_MAX_LOGPROBS], out: of the row's own token, then of the likeliest */
    INTARSIA_BUFFER_LOGPROB_TOKENS = 11, /* i32 [max_rows, 1 + INTARSIA_MAX_LOGPROBS], out: the tokens of these; -1 for none */
    INTARSIA_BUFFER_RANKS = 12        /* i32 [max_rows], out: of the row's own token, 1 = the likeliest */
};

enum intarsia_piece_kind { INTARSIA_PIECE_PLAIN = 0, INTARSIA_PIECE_SPLITTING = 1 };

enum intarsia_compile_flag {
    INTARSIA_COMPILE_NO_FUSION = 1, /* one kernel per op: the reference that fused executables equal bit for bit */
    INTARSIA_COMPILE_MEASURE = 2    /* choose by timing how the loops of the kernels are cut; no choice changes a bit */
};

typedef struct intarsia_device intarsia_device;
typedef struct intarsia_weights intarsia_weights;
typedef struct intarsia_graph intarsia_graph;
typedef struct intarsia_partition intarsia_partition;
typedef struct intarsia_executable intarsia_executable;
typedef struct intarsia_kv_cache intarsia_kv_cache;
typedef struct intarsia_step intarsia_step;
typedef struct intarsia_recording intarsia_recording;

/* ---------------------------------------------------------------------------------------------------------------- library */

/* INTARSIA_ABI_VERSION of the header that the library was built from. */
INTARSIA_API uint32_t intarsia_abi_version(void);
/* Version of the library, such as "0.1.0". Static. */
INTARSIA_API const char *intarsia_version(void);
/* Hash over the native sources and flags of this build. Static. */
INTARSIA_API const char *intarsia_build_id(void);
/* SHA-256 of this header as it was at build time, 64 lower-case hex digits. Static. */
INTARSIA_API const char *intarsia_header_hash(void);
/*
 * The ABI as the compiler saw it, one line each, static:
 *   "struct NAME SIZE", "field STRUCT.NAME OFFSET SIZE", "function NAME RESULT(ARGUMENTS)"
 * with the argument letters v void, i 32-bit integer, l 64-bit integer, f float, d double, p pointer.
 */
INTARSIA_API const char *intarsia_abi_table(void);
/* The last error of the calling thread, "" if there was none. Valid until the thread's next call; copy it at once. */
INTARSIA_API const char *intarsia_last_error(void);

/* ----------------------------------------------------------------------------------------------------------------- device */

typedef struct intarsia_device_info {
    uint32_t struct_size;
    uint32_t kind;            /* enum intarsia_device_kind */
    uint32_t available;       /* 1, or 0 with the reason in `note` */
    uint32_t default_threads; /* CPU: what affinity and cgroup allow */
    uint64_t memory_total;    /* bytes, the cgroup's limit where that is lower */
    uint64_t memory_free;     /* bytes */
    char name[96];
    char tiers[96]; /* CPU: instruction-set tiers this machine can run, best first, separated by blanks */
    char tier[32];  /* CPU: the one a device opened now would use */
    char note[256];
} intarsia_device_info;

typedef struct intarsia_device_options {
    uint32_t struct_size;
    uint32_t kind;    /* enum intarsia_device_kind */
    uint32_t ordinal; /* 0 on the CPU */
    uint32_t threads; /* CPU: 1..256, 0 = default_threads */
    char tier[32];    /* CPU: "" = INTARSIA_CPU_TIER of the environment, else the best; one of the info's `tiers` */
    uint32_t flags;   /* enum intarsia_device_flag */
    uint32_t reserved;
    uint64_t memory;  /* CUDA: bytes of device memory that may be taken in all, 0 = nine tenths of what is free now; CPU: 0 */
} intarsia_device_options;

enum intarsia_device_flag {
    /* CUDA: only kernels whose bits do not depend on how a step is dispatched. The CPU has no others. */
    INTARSIA_DEVICE_DETERMINISTIC = 1
};

/*
 * Names the file of the plug-in for CUDA devices, which must be of the same build; "" = libintarsia_cuda.so beside this library. It is loaded
 * when devices are first counted, queried or opened; after that, INTARSIA_INVALID_STATE unless it is the same path. A plug-in that cannot be
 * loaded is no error: the CUDA device is then not available, and its `note` says why.
 */
INTARSIA_API intarsia_status intarsia_device_plugin(const char *path);

/* Number of devices known, unavailable ones too. */
INTARSIA_API intarsia_status intarsia_device_count(uint32_t *out_count);
INTARSIA_API intarsia_status intarsia_device_query(uint32_t index, intarsia_device_info *out_info);
/*
 * CPU: a team of threads (parked when idle) and the kernels of one tier. The calling thread of an execute is one of the team.
 * CUDA: a stream and a pool of memory on one GPU, and such a team for what is sampled on the host. Weights are in the native format. After
 * INTARSIA_DEVICE_FAULT, every call on the device fails with the first fault's message; other devices go on.
 */
INTARSIA_API intarsia_status intarsia_device_open(const intarsia_device_options *options, intarsia_device **out_device);
INTARSIA_API void intarsia_device_destroy(intarsia_device *device);
/*
 * Measures how fast the device reads its memory: `bytes` bytes, 1 MiB .. 16 GiB and at most half of what is free, on huge pages where the
 * system gives them, read by all threads of the team, each a part of its own; the median of five passes. Choose a size beyond the caches.
 */
INTARSIA_API intarsia_status intarsia_device_measure_read(intarsia_device *device, uint64_t bytes, double *out_bytes_per_second);

/* ---------------------------------------------------------------------------------------------------------------- weights */

/* precision: enum intarsia_precision; format: enum intarsia_weight_format. */
INTARSIA_API intarsia_status intarsia_weights_create(intarsia_device *device, uint32_t precision, uint32_t format,
                                                     intarsia_weights **out_weights);
INTARSIA_API void intarsia_weights_destroy(intarsia_weights *weights);
/*
 * Adds a tensor, row-major, rank 1 or 2, and lays it out once for the kernels: a vector as f32; a matrix [outputs, inputs] as tiles of
 * 16 outputs x inputs, in the format of the set; quantized ones have at most 131072 inputs. `bytes` must be the product of the dims and the size of the dtype. `data` needs no
 * alignment and can be released after the call. Names are unique.
 */
INTARSIA_API intarsia_status intarsia_weights_add(intarsia_weights *weights, const char *name, uint32_t dtype, const int64_t *dims,
                                                  uint32_t rank, const void *data, uint64_t bytes, uint32_t *out_weight);
/*
 * Quantizes a matrix [outputs, inputs] = dims, row-major, of the given dtype; `bytes` as for intarsia_weights_add. Row-major results:
 *   INT8: values int8 [outputs, inputs]; scales f32 [outputs]. scale = m / 127 with m the largest magnitude of the output, and value =
 *         weight * (127 / m) to the nearest, ties to even.
 *   INT4: values u8 [outputs, ceil(inputs / 2)], input 2i in the low half of byte i and 2i + 1 in the high one, each plus 8; scales f16
 *         [outputs, ceil(inputs / 32)]. Of a few scales that make the weight of largest magnitude about -8, the one with the least squared error.
 * A scale is NaN where a weight is infinite or NaN. value_bytes and scale_bytes must be what the results take; none needs alignment.
 */
INTARSIA_API intarsia_status intarsia_quantize(uint32_t format, uint32_t dtype, const int64_t *dims, const void *data, uint64_t bytes,
                                               void *out_values, uint64_t value_bytes, void *out_scales, uint64_t scale_bytes);
/*
 * intarsia_weights_add of a matrix [outputs, inputs] = dims that intarsia_quantize made, to a set of its format: the same bits as adding the
 * matrix that it was made of. INT8 values are -127..127.
 */
INTARSIA_API intarsia_status intarsia_weights_add_quantized(intarsia_weights *weights, const char *name, const int64_t *dims,
                                                            const void *values, uint64_t value_bytes, const void *scales,
                                                            uint64_t scale_bytes, uint32_t *out_weight);
/* Bytes held by the set. */
INTARSIA_API intarsia_status intarsia_weights_bytes(intarsia_weights *weights, uint64_t *out_bytes);

/* ------------------------------------------------------------------------------------------------------------------ graph */

typedef struct intarsia_graph_options {
    uint32_t struct_size;
    uint32_t tokens; /* 0 = symbolic, else the dimension is frozen to this size */
    uint32_t rows;   /* 0 = symbolic, else the dimension is frozen to this size */
    uint32_t reserved;
} intarsia_graph_options;

typedef struct intarsia_attention_options {
    uint32_t struct_size;
    uint32_t layer;    /* layer of the KV cache that is read */
    uint32_t heads;    /* query heads, a multiple of kv_heads */
    uint32_t kv_heads;
    uint32_t head_dim; /* even, 2..1024 */
    uint32_t window;   /* a query at position p sees keys p - window + 1 .. p; 0 = all up to p */
    float scale;       /* multiplies q k' before the softmax */
    uint32_t reserved;
} intarsia_attention_options;

/*
 * A graph is built op by op in the order of execution; a builder call checks the shapes and answers with the id of the new value. Errors name
 * the op and the shapes. A graph is sealed by its first split.
 */
INTARSIA_API intarsia_status intarsia_graph_create(intarsia_weights *weights, const intarsia_graph_options *options,
                                                   intarsia_graph **out_graph);
INTARSIA_API void intarsia_graph_destroy(intarsia_graph *graph);
/* input: enum intarsia_input; i32 [T], or [R] for INTARSIA_INPUT_ROWS. Asked twice, the same value. */
INTARSIA_API intarsia_status intarsia_graph_input(intarsia_graph *graph, uint32_t input, uint32_t *out_value);
/* [T] i32, weight [vocabulary, H] -> [T, H] */
INTARSIA_API intarsia_status intarsia_graph_embedding(intarsia_graph *graph, uint32_t tokens, uint32_t weight, uint32_t *out_value);
/* x / sqrt(mean(x^2) + eps) * weight over groups of the weight's length D: [*, W] with W a multiple of D -> [*, W] */
INTARSIA_API intarsia_status intarsia_graph_rms_norm(intarsia_graph *graph, uint32_t x, uint32_t weight, float eps, uint32_t *out_value);
/* x W' + bias: [*, K], weight [N, K], bias [N] or INTARSIA_NONE -> [*, N] */
INTARSIA_API intarsia_status intarsia_graph_linear(intarsia_graph *graph, uint32_t x, uint32_t weight, uint32_t bias, uint32_t *out_value);
/* Angles p * inv_freq: [T] i32, inverse frequencies [D/2] -> [T, D], first D/2 cosines, then D/2 sines, each times `scale` */
INTARSIA_API intarsia_status intarsia_graph_rope_table(intarsia_graph *graph, uint32_t positions, uint32_t inverse_frequencies, float scale,
                                                       uint32_t *out_value);
/* Rotary embedding of the halves convention (element i with i + D/2) on heads of D: [T, h*D], table [T, D] -> [T, h*D] */
INTARSIA_API intarsia_status intarsia_graph_rope(intarsia_graph *graph, uint32_t x, uint32_t table, uint32_t *out_value);
/* Writes k and v [T, kv_heads * head_dim] of each token to its slot of the layer's cache; slot -1 writes nothing. */
INTARSIA_API intarsia_status intarsia_graph_cache_append(intarsia_graph *graph, uint32_t k, uint32_t v, uint32_t slots, uint32_t layer,
                                                         uint32_t kv_heads);
/* Causal grouped-query attention over the block tables of the step; q [T, heads * head_dim] -> the same shape */
INTARSIA_API intarsia_status intarsia_graph_attention(intarsia_graph *graph, uint32_t q, const intarsia_attention_options *options,
                                                      uint32_t *out_value);
/* silu(gate) * up, both [*, W] -> [*, W] */
INTARSIA_API intarsia_status intarsia_graph_silu_mul(intarsia_graph *graph, uint32_t gate, uint32_t up, uint32_t *out_value);
/* a + b, both [*, W] -> [*, W] */
INTARSIA_API intarsia_status intarsia_graph_add(intarsia_graph *graph, uint32_t a, uint32_t b, uint32_t *out_value);
/* [T, W], rows [R] i32 -> [R, W]. What follows over R is a piece of its own, whatever the splitting ops. */
INTARSIA_API intarsia_status intarsia_graph_select_rows(intarsia_graph *graph, uint32_t x, uint32_t rows, uint32_t *out_value);
/* An allocation [*, width] over a dimension (enum intarsia_dimension) whose content is undefined. */
INTARSIA_API intarsia_status intarsia_graph_empty(intarsia_graph *graph, uint32_t dimension, uint32_t width, uint32_t *out_value);
/* The result of the graph, [R, vocabulary]: it lands in INTARSIA_BUFFER_LOGITS. At most one. */
INTARSIA_API intarsia_status intarsia_graph_output(intarsia_graph *graph, uint32_t value);

/* -------------------------------------------------------------------------------------------------------- split and compile */

typedef struct intarsia_partition_info {
    uint32_t struct_size;
    uint32_t pieces;  /* in order of execution */
    uint32_t classes; /* distinct pieces: equal ones share a class and with it their executables */
    uint32_t values;  /* values that cross from piece to piece */
    uint64_t bytes_per_token; /* of the values that cross, after sharing by liveness */
    uint64_t bytes_per_row;
} intarsia_partition_info;

typedef struct intarsia_piece_info {
    uint32_t struct_size;
    uint32_t kind;      /* enum intarsia_piece_kind */
    uint32_t dimension; /* enum intarsia_dimension: what n counts for this piece */
    uint32_t symbolic;  /* 1 if that dimension is symbolic, 0 if it is frozen */
    uint32_t frozen;    /* the size it is frozen to, 0 if symbolic */
    uint32_t class_id;  /* 0 .. classes - 1, in order of first appearance */
    uint32_t ops;
    uint32_t inputs;    /* values read from other pieces or from the step */
    uint32_t outputs;   /* values read by later pieces */
    uint32_t reserved;
    uint64_t weight_bytes;  /* read by one execution */
    uint64_t flops_per_row; /* 2 per multiply-add of the linear ops */
} intarsia_piece_info;

typedef struct intarsia_compile_options {
    uint32_t struct_size;
    uint32_t lo;    /* the executable serves lo <= n <= hi */
    uint32_t hi;
    uint32_t flags;         /* enum intarsia_compile_flag */
    const void *artifact;   /* from intarsia_executable_artifact of an equal class and range: its choices are taken and nothing is measured */
    uint64_t artifact_bytes; /* 0 = none */
} intarsia_compile_options;

typedef struct intarsia_executable_info {
    uint32_t struct_size;
    uint32_t lo;
    uint32_t hi;
    uint32_t kernels;     /* kernel calls of one execution */
    uint64_t arena_bytes; /* scratch for n = hi */
} intarsia_executable_info;

/*
 * Cuts the graph at the splitting ops (enum intarsia_op), and where the dimension changes from T to R. A splitting op opens a new piece and the next
 * plain op another; consecutive splitting ops share one piece; a piece that holds only INTARSIA_OP_EMPTY merges into the nearest earlier
 * plain piece, if there is one. No splitting ops: one piece over T.
 */
INTARSIA_API intarsia_status intarsia_graph_split(intarsia_graph *graph, const uint32_t *splitting_ops, uint32_t count,
                                                  intarsia_partition **out_partition);
INTARSIA_API void intarsia_partition_destroy(intarsia_partition *partition);
INTARSIA_API intarsia_status intarsia_partition_query(intarsia_partition *partition, intarsia_partition_info *out_info);
INTARSIA_API intarsia_status intarsia_partition_piece(intarsia_partition *partition, uint32_t piece, intarsia_piece_info *out_info);
/*
 * A description of a piece, an op a line. Writes at most `capacity` bytes with the final zero; out_needed is what the whole text needs.
 * A null buffer with capacity 0 asks for the size.
 */
INTARSIA_API intarsia_status intarsia_partition_describe(intarsia_partition *partition, uint32_t piece, char *buffer, uint64_t capacity,
                                                         uint64_t *out_needed);
/*
 * The class of a piece in canonical words: equal texts mean equal pieces, in any model and process of the same build. See
 * intarsia_partition_describe for the buffer.
 */
INTARSIA_API intarsia_status intarsia_partition_class(intarsia_partition *partition, uint32_t piece, char *buffer, uint64_t capacity,
                                                      uint64_t *out_needed);
/*
 * Compiles the class of `piece`. A frozen piece takes only lo == hi == its size, or a range that contains it (then it is baked in). An
 * artifact that does not fit is INTARSIA_INVALID_ARGUMENT.
 */
INTARSIA_API intarsia_status intarsia_compile(intarsia_partition *partition, uint32_t piece, const intarsia_compile_options *options,
                                              intarsia_executable **out_executable);
INTARSIA_API void intarsia_executable_destroy(intarsia_executable *executable);
INTARSIA_API intarsia_status intarsia_executable_query(intarsia_executable *executable, intarsia_executable_info *out_info);
/* What was chosen by measuring, to be kept and given to intarsia_compile another time. Writes at most `capacity` bytes. */
INTARSIA_API intarsia_status intarsia_executable_artifact(intarsia_executable *executable, void *buffer, uint64_t capacity,
                                                          uint64_t *out_needed);
/* The kernel calls in order, a line each; see intarsia_partition_describe for the buffer. */
INTARSIA_API intarsia_status intarsia_executable_describe(intarsia_executable *executable, char *buffer, uint64_t capacity,
                                                          uint64_t *out_needed);

/* --------------------------------------------------------------------------------------------------------------- KV cache */

typedef struct intarsia_kv_options {
    uint32_t struct_size;
    uint32_t precision; /* enum intarsia_precision, that of the weights */
    uint32_t layers;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t blocks; /* of INTARSIA_KV_BLOCK positions */
} intarsia_kv_options;

INTARSIA_API intarsia_status intarsia_kv_create(intarsia_device *device, const intarsia_kv_options *options, intarsia_kv_cache **out_cache);
INTARSIA_API void intarsia_kv_destroy(intarsia_kv_cache *cache);
INTARSIA_API intarsia_status intarsia_kv_bytes(intarsia_kv_cache *cache, uint64_t *out_bytes);

/* -------------------------------------------------------------------------------------------------------- execute, sample */

typedef struct intarsia_step_options {
    uint32_t struct_size;
    uint32_t max_tokens;
    uint32_t max_sequences;
    uint32_t max_rows;
    uint32_t max_blocks; /* blocks of the longest sequence */
    uint32_t reserved;
} intarsia_step_options;

/*
 * How one row is sampled; the definition is final, so that a seed gives the same tokens for ever. Zero in every field after top_k is the
 * plain choice.
 *  If the row has a sampler state, the logits are first processed as intarsia_sampler_state says.
 *  NaN counts as -infinity, a denormal as 0, and max is the largest logit. With temperature 0 (or denormal), or if max is infinite, the
 *  answer is the lowest id whose logit is max, or 0 if there are only NaN; top_k, top_p, min_p and seed do not matter.
 *  Otherwise w_i = exp((logit_i - max) / temperature), difference and quotient in f32, the exponential in f64 and then rounded to f32; it is
 *  0 for quotients below -87. Sums of w are f64, one term added at a time.
 *  Order the ids by (logit falling, id rising). Ids with w < min_p are dropped, then top_k > 0 keeps the first top_k; let K be the sum of
 *  what is left in rising order of the ids. Then top_p < 1 keeps the shortest prefix, of one id at least, whose sum in the order of the
 *  prefix is >= top_p * K, a product in f64.
 *  Philox4x32-10 with key (low, high half of `seed`) and counter (low, high half of `position`, 0, 0) gives words x0..x3, and the upper 53
 *  bits of x0 + 2^32 x1, divided by 2^53, are u in [0, 1). The answer is the first id, in rising order of the kept ids, at which their running
 *  sum exceeds u times their whole sum in that order.
 * A row with a target is not sampled: its own token is the target, and only its log-probabilities are computed.
 * Log-probabilities are of the logits as the graph computed them, before any state and temperature: (logit_i - max) - log(sum of
 *  exp(logit_j - max)) in f64, rounded to f32, whatever the thread and the batch. A rank is the number of ids whose logit is at least the
 *  token's, itself included; the likeliest tokens come in the order above and without those whose logit is -infinity. Where max is infinite
 *  all log-probabilities are NaN.
 */
typedef struct intarsia_sampling {
    float temperature;  /* >= 0, finite */
    float top_p;        /* 0 < top_p <= 1 */
    int32_t top_k;      /* >= 0, 0 = all */
    uint32_t reserved;
    uint64_t seed;
    uint64_t position;  /* position of the token to be sampled in its sequence */
    float min_p;        /* 0 <= min_p <= 1, 0 = all */
    uint32_t logprobs;  /* entries wanted in the log-probability buffers: 0 = none, 1 = of the row's own token, 1 + k = also of the k likeliest */
    uint32_t state;     /* 1 + slot of the sampler state that belongs to the row's sequence, 0 = none; no two rows of a step share one */
    uint32_t target;    /* 1 + id of a given token that is scored in place of sampling, 0 = none; excludes a state */
} intarsia_sampling;

/*
 * What sampling needs to know of a sequence beyond its logits. The step keeps a copy, and every token that is sampled with it counts as the
 * sequence's next. It processes a copy of the logits in this order, in f32:
 *  1. allowed: every other id gets -infinity.
 *  2. bad words: where the output ends with all tokens of a bad word but its last, that last token gets -infinity.
 *  3. While the output is shorter than min_tokens, the stop ids get -infinity.
 *  4. biases are added.
 *  5. Ids of the prompt or the output: a logit > 0 is divided by repetition_penalty, another multiplied.
 *  6. Ids of the output: frequency_penalty times how often they occur in it is subtracted, then presence_penalty.
 * If nothing is above -infinity then, the answer is the lowest allowed id.
 */
typedef struct intarsia_sampler_state {
    uint32_t struct_size;
    uint32_t prompt_count;  /* every count at most 2^24 */
    const int32_t *prompt;  /* [prompt_count] ids */
    const int32_t *output;  /* [output_count] ids sampled so far, if the sequence goes on elsewhere */
    const int32_t *allowed; /* [allowed_count] ids */
    const int32_t *stops;   /* [stop_count] ids */
    const int32_t *bias_ids;       /* [bias_count]; an id that comes twice gets both biases */
    const float *biases;           /* [bias_count], finite */
    const uint32_t *bad_lengths;   /* [bad_count], each >= 1, together at most 2^24 */
    const int32_t *bad_words;      /* the ids of all bad words, one word after the other */
    uint32_t output_count;
    uint32_t allowed_count; /* 0 = all ids are allowed */
    uint32_t stop_count;
    uint32_t bias_count;
    uint32_t bad_count;
    uint32_t min_tokens;
    float presence_penalty;   /* finite, 0 = none */
    float frequency_penalty;  /* finite, 0 = none */
    float repetition_penalty; /* > 0, finite, 1 = none */
    uint32_t reserved;
} intarsia_sampler_state;

/* The buffers of steps over the pieces of one partition, with everything the executables write. cache may be NULL for a graph without attention. */
INTARSIA_API intarsia_status intarsia_step_create(intarsia_partition *partition, intarsia_kv_cache *cache,
                                                  const intarsia_step_options *options, intarsia_step **out_step);
INTARSIA_API void intarsia_step_destroy(intarsia_step *step);
INTARSIA_API intarsia_status intarsia_step_bytes(intarsia_step *step, uint64_t *out_bytes);
/* Address and size in bytes of a step buffer (enum intarsia_buffer), 64-byte aligned, valid until the step is destroyed. */
INTARSIA_API intarsia_status intarsia_step_buffer(intarsia_step *step, uint32_t buffer, void **out_address, uint64_t *out_bytes);
/*
 * Fixes the sizes of the step now described by the buffers and checks every token id, position, slot, row, query start, length and block.
 * Tokens past the last query start (padding) have slot -1.
 */
INTARSIA_API intarsia_status intarsia_step_begin(intarsia_step *step, uint32_t tokens, uint32_t sequences, uint32_t rows);
/* Runs piece `piece` of the step's partition with an executable of its class. Needs lo <= n <= hi. */
INTARSIA_API intarsia_status intarsia_execute(intarsia_step *step, intarsia_executable *executable, uint32_t piece);
/* Samples every row of the step from its logits as INTARSIA_BUFFER_SAMPLING says into INTARSIA_BUFFER_SAMPLED and the log-probability buffers. */
INTARSIA_API intarsia_status intarsia_sample(intarsia_step *step);
/*
 * Waits for the device and makes the logits of rows 0 .. rows - 1 of the begun step readable in INTARSIA_BUFFER_LOGITS. On the CPU they are there
 * as soon as their piece has run, and this only checks its arguments.
 */
INTARSIA_API intarsia_status intarsia_step_logits(intarsia_step *step, uint32_t rows);
/*
 * Gives the sequence in slot 0 .. max_sequences - 1 of the step its sampler state, in place of any earlier one. Sampling, also in a replay,
 * finds it there. Ids must be below the vocabulary.
 */
INTARSIA_API intarsia_status intarsia_step_sampler_set(intarsia_step *step, uint32_t slot, const intarsia_sampler_state *state);
/* Forgets the sampler state of a slot, if there is one. */
INTARSIA_API intarsia_status intarsia_step_sampler_clear(intarsia_step *step, uint32_t slot);

/* ------------------------------------------------------------------------------------------------------- record, replay */

enum intarsia_record_flag {
    INTARSIA_RECORD_SAMPLE = 1 /* the recording ends with intarsia_sample */
};

typedef struct intarsia_recording_info {
    uint32_t struct_size;
    uint32_t tokens;      /* sizes of the steps that it serves, padding included; 0 = any, none of its pieces is over that dimension */
    uint32_t rows;
    uint32_t samples;     /* 1 if it ends with sampling */
    uint32_t kernels;     /* kernel calls of one replay */
    uint32_t reserved;
    uint64_t bytes;       /* of the resolved calls */
    uint64_t arena_bytes; /* scratch it needs; recordings of one step share one arena, as large as the largest */
} intarsia_recording_info;

/*
 * Resolves what executing `count` pieces of the step that was begun would run, piece i with executables[i], into a recording of exactly its
 * numbers of tokens and rows, as far as its pieces are over them; runs nothing. The number of sequences and all that the step buffers hold is read at replay. Record large
 * sizes first: the arena then never has to grow, and all recordings share one.
 */
INTARSIA_API intarsia_status intarsia_record(intarsia_step *step, const uint32_t *pieces, intarsia_executable *const *executables,
                                             uint32_t count, uint32_t flags, intarsia_recording **out_recording);
INTARSIA_API void intarsia_recording_destroy(intarsia_recording *recording);
INTARSIA_API intarsia_status intarsia_recording_query(intarsia_recording *recording, intarsia_recording_info *out_info);
/* Runs a recording within a step that was begun with its numbers of tokens and rows. */
INTARSIA_API intarsia_status intarsia_replay(intarsia_step *step, intarsia_recording *recording);
/* intarsia_step_begin with the recording's tokens and rows, and intarsia_replay, in one call: for recordings of whole steps. */
INTARSIA_API intarsia_status intarsia_replay_step(intarsia_step *step, intarsia_recording *recording, uint32_t sequences);
/*
 * Enqueues steps of a CUDA device ahead of their tokens. intarsia_step_enqueue is intarsia_replay_step, of a recording that samples, without
 * waiting; every row must be one that the device samples: without sampler state, target and log-probabilities, and with temperature 0 or a top_p that
 * is 1 or at most 1 - vocabulary / 2^27. A token -1 - i of its buffer stands for the token that row i of the step before it gets. At most two are in
 * flight. intarsia_step_collect waits for the earlier of them and puts its tokens
 * into INTARSIA_BUFFER_SAMPLED; until all are collected every other call that runs something on the step fails with INTARSIA_INVALID_STATE. The CPU
 * device answers INTARSIA_UNSUPPORTED.
 */
INTARSIA_API intarsia_status intarsia_step_enqueue(intarsia_step *step, intarsia_recording *recording, uint32_t sequences);
INTARSIA_API intarsia_status intarsia_step_collect(intarsia_step *step);
/*
 * intarsia_replay with a clock around every kernel: out_nanoseconds[i] is how long the slowest thread of the team was in call i. Sampling counts
 * as one more call. `count` is the number of calls.
 */
INTARSIA_API intarsia_status intarsia_replay_profile(intarsia_step *step, intarsia_recording *recording, uint64_t *out_nanoseconds,
                                                     uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* INTARSIA_H */
