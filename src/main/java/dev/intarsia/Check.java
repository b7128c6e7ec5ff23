package dev.intarsia;

/** Bounds of parameters: the exception names the parameter, its value and the bound. */
final class Check {
    private Check() {}

    static void range(String name, int value, int least, int most) {
        if (value < least || value > most) {
            throw new IllegalArgumentException(name + " is " + value + ", not in " + least + ".." + most);
        }
    }

    static void that(boolean holds, String name, Object value, String bound) {
        if (!holds) {
            throw new IllegalArgumentException(name + " is " + value + "; it must be " + bound);
        }
    }
}
