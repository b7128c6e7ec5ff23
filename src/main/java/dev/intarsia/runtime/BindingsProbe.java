package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import java.lang.foreign.SymbolLookup;

/** The library that this class loader has loaded, asked through the bindings. */
final class BindingsProbe implements LibraryProbe {

    @Override
    public boolean exports(String function) {
        return SymbolLookup.loaderLookup().find(function).isPresent();
    }

    @Override
    public int abiVersion() {
        return Intarsia.intarsia_abi_version();
    }

    @Override
    public String headerHash() {
        return Status.text(Intarsia.intarsia_header_hash());
    }

    @Override
    public String abiTable() {
        return Status.text(Intarsia.intarsia_abi_table());
    }

    @Override
    public String version() {
        return Status.text(Intarsia.intarsia_version());
    }

    @Override
    public String buildId() {
        return Status.text(Intarsia.intarsia_build_id());
    }
}
