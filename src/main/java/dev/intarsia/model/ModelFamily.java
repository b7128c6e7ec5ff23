package dev.intarsia.model;

import java.util.Set;

/**
 * One architecture of decoder. A family reads nothing itself: {@link ModelBuilder} gives it the config and adds ops and weights to the graph.
 * Families are listed in {@link Families}.
 */
public interface ModelFamily {

    /** Names in {@code config.json}'s {@code architectures} that this family serves. */
    Set<String> architectures();

    /** Adds the ops of the whole model, from token ids to logits, which it makes the output of the graph. */
    void build(ModelBuilder model);
}
