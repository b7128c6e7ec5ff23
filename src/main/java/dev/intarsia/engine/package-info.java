/** The engine behind {@link dev.intarsia.Engine}: the model compiled, the blocks of the cache, requests, and the loop that runs steps. */
package dev.intarsia.engine;
