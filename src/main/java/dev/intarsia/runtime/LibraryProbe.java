package dev.intarsia.runtime;

/** What a loaded library says of itself. */
interface LibraryProbe {

    /** Whether the library exports a function. */
    boolean exports(String function);

    /** {@code intarsia_abi_version()}. */
    int abiVersion();

    /** {@code intarsia_header_hash()}. */
    String headerHash();

    /** {@code intarsia_abi_table()}. */
    String abiTable();

    /** {@code intarsia_version()}. */
    String version();

    /** {@code intarsia_build_id()}. */
    String buildId();
}
