package dev.intarsia;

/** Whether the matrices of a model, embedding and logits layer included, are held in fewer bits than its precision has. */
public enum Quantize {
    /** As the checkpoint has them: in the precision of the engine, or quantized where the checkpoint was written so. */
    NONE,
    /** 8 bits a weight, with one scale for each output. */
    INT8,
    /** 4 bits a weight, with one scale for each output and 32 inputs. */
    INT4
}
