/**
 * The piecewise layer: a model's graph is cut at its splitting ops into pieces, every distinct piece is compiled ahead
 * of time for ranges of batch size (or one exact size), and each step picks the compiled piece by its number of tokens.
 *
 * <p>The layer is pure Java. It reaches compilers and recordings only through small interfaces
 * ({@link dev.intarsia.piecewise.PieceSource}, {@link dev.intarsia.piecewise.PieceCompiler}), so it knows no pointer.
 * All sizes are numbers of tokens unless said otherwise.
 */
package dev.intarsia.piecewise;
