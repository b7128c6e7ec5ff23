/**
 * What {@code bench} measures: an engine by itself, and an engine or a server under load. Times are wall-clock times of this process;
 * every figure is a median or a percentile of what was seen.
 */
package dev.intarsia.cli.bench;
