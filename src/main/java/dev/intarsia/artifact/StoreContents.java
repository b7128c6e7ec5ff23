package dev.intarsia.artifact;

/**
 * How much a store holds.
 *
 * @param entries   keys with an artifact
 * @param artifacts distinct ones
 * @param bytes     of the distinct artifacts
 */
public record StoreContents(int entries, int artifacts, long bytes) {}
