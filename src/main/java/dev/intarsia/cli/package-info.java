/**
 * The command line: one class for each command, one for each group of options, and nothing that the public API of
 * {@code dev.intarsia} does not offer to everybody.
 *
 * <p>Standard output holds what was asked for and nothing else; a failure is one line on standard error. All text is
 * UTF-8, whatever the locale.
 */
package dev.intarsia.cli;
