/**
 * Between text and token ids: the tokenizer of a checkpoint directory, and the decoding of tokens as they arrive.
 */
package dev.intarsia.text;
