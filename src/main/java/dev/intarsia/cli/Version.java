package dev.intarsia.cli;

import picocli.CommandLine.IVersionProvider;

/** Versions of what runs. */
final class Version implements IVersionProvider {

    /** Of these classes: what their jar says. */
    static String intarsia() {
        String version = Version.class.getPackage().getImplementationVersion();
        return version == null ? "(not packaged)" : version;
    }

    static String java() {
        return Runtime.version() + " (" + System.getProperty("java.vendor") + ")";
    }

    @Override
    public String[] getVersion() {
        return new String[] {"intarsia " + intarsia() + ", Java " + java()};
    }
}
