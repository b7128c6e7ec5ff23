package dev.intarsia.piecewise.cases;

/** Runs the rows of one group against the real classes. */
@FunctionalInterface
interface RowRunner {

    /**
     * What the classes answer to the row's input, in the shape of the row's {@code expect}: maps by field name, lists,
     * sets where order does not count, strings, ints, booleans, null. A {@link java.util.function.Supplier} stands for
     * an answer that may throw and is asked for when it is compared. More fields than the row expects may be there.
     */
    Object answer(CaseRow row);
}
