package dev.intarsia.runtime;

import dev.intarsia.ffi.Header;
import dev.intarsia.ffi.Intarsia;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** A library that fits the bindings until a test changes something. */
final class FakeLibrary implements LibraryProbe {
    final Set<String> hidden = new HashSet<>();
    final Map<String, String> table = new TreeMap<>(AbiGuard.bindings());
    int abiVersion = Intarsia.INTARSIA_ABI_VERSION();
    String headerHash = Header.SHA256;

    @Override
    public boolean exports(String function) {
        return !hidden.contains(function);
    }

    @Override
    public int abiVersion() {
        return abiVersion;
    }

    @Override
    public String headerHash() {
        return headerHash;
    }

    @Override
    public String abiTable() {
        return table.entrySet().stream()
                .map(entry -> entry.getKey() + " " + entry.getValue())
                .collect(Collectors.joining("\n", "", "\n"));
    }

    @Override
    public String version() {
        return "1.2.3";
    }

    @Override
    public String buildId() {
        return "cafe";
    }
}
