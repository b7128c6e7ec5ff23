package dev.intarsia;

/**
 * In which order requests that wait are taken, and, backwards, in which order those that run are put back when the KV
 * cache is full.
 */
public enum SchedulingPolicy {
    /** First come, first served. */
    FCFS,
    /** By rising {@link GenerationRequest#priority()}, then first come, first served. */
    PRIORITY
}
