package dev.intarsia.runtime;

/**
 * A value of a graph. It means something only together with the {@link Graph} that gave it.
 *
 * @param id the graph's number for it
 */
public record Value(int id) {}
