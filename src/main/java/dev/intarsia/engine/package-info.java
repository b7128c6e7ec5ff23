/**
 * The engine behind {@link dev.intarsia.Engine}: the model compiled, the scheduler, the blocks of the cache and the
 * prefixes found in them, the loop that runs steps, and the outputs that callers get.
 */
package dev.intarsia.engine;
