/**
 * Language models inside this JVM. {@link dev.intarsia.Engine} is where to begin; everything else is what goes in or
 * comes out of it.
 *
 * <h2>Open an engine, ask, close it</h2>
 *
 * Opening loads and compiles, which takes a while; asking then is a method call, from any thread, virtual ones too.
 * Requests of all threads share the engine's steps, so hundreds of blocked callers are what it is made for. {@link
 * dev.intarsia.EngineOptions} says what each option does.
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="open"}
 *
 * <h2>Sample</h2>
 *
 * {@link dev.intarsia.SamplingParams} are those of vLLM, with its names and bounds. A seed gives the same tokens
 * whatever else runs, however the prompt was cut into steps, and also where the sequence had to be put back for a
 * while.
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="sample"}
 *
 * <h2>Read tokens as they come</h2>
 *
 * Text that may be the beginning of a stop string is held back until it is certain. Nobody waits for whoever reads:
 * tokens are kept until they are taken.
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="stream"}
 *
 * <h2>Many at once, and in the background</h2>
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="many"}
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="submit"}
 *
 * <h2>Publish to a subscriber that sets the pace</h2>
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="publish"}
 *
 * <h2>Several answers to one prompt, and how likely they are</h2>
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="alternatives"}
 *
 * <h2>Tenants, priorities, long prompts</h2>
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="tenants"}
 *
 * <h2>Overload</h2>
 *
 * At most {@link dev.intarsia.EngineOptions#maxQueued() maxQueued} requests wait. One more is refused at once.
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="overload"}
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="stats"}
 *
 * <h2>The end</h2>
 *
 * {@link dev.intarsia.Engine#close() close} ends everything at once, {@link dev.intarsia.Engine#shutdown shutdown}
 * lets finish what was taken.
 *
 * {@snippet file="dev/intarsia/examples/Examples.java" region="shutdown"}
 *
 * <h2>What is thrown</h2>
 *
 * A parameter out of bounds is an {@link java.lang.IllegalArgumentException} that names it, its value and its bound.
 * Everything else is a {@link dev.intarsia.IntarsiaException}: {@link dev.intarsia.QueueFullException}, {@link
 * dev.intarsia.EngineClosedException} also when a failure closed the engine, with that as its cause, {@link
 * dev.intarsia.CheckpointException} and {@link dev.intarsia.NativeLibraryException} when it is opened.
 */
package dev.intarsia;
