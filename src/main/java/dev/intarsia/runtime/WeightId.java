package dev.intarsia.runtime;

/**
 * A tensor of a set of weights. It means something only together with the {@link Weights} that gave it.
 *
 * @param id counts from 0 in the order in which tensors were added
 */
public record WeightId(int id) {}
