/**
 * Checkpoints as Hugging Face lays them out: a directory with {@code config.json} and weights in safetensors, one file
 * or several shards with an index.
 *
 * <p>The files are hostile input. Every count, shape, offset and name is checked before it is used, and whatever is
 * wrong ends in a {@link dev.intarsia.CheckpointException} of one sentence that names the file. Weights stay in
 * memory-mapped files: they must not be changed or truncated while the checkpoint is open.
 */
package dev.intarsia.checkpoint;
