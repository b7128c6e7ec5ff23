package dev.intarsia;

/**
 * The device that the tests of engines run on: the system property {@code intarsia.test.device}, such as {@code cuda:0}; the CPU unless it is
 * set. Bits are compared, so it is opened deterministic, which the CPU always is.
 */
public final class TestDevice {
    private static final String NAME = System.getProperty("intarsia.test.device", "cpu");

    private TestDevice() {}

    public static boolean isCpu() {
        return NAME.equals("cpu");
    }

    /** The defaults on that device. */
    public static EngineOptions.Builder options() {
        return EngineOptions.builder().device(NAME).deterministic(!isCpu());
    }
}
