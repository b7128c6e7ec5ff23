package dev.intarsia;

import java.nio.file.Files;
import java.nio.file.Path;

/** Where the tests' models lie. */
public final class TestModels {
    private TestModels() {}

    /** The model that ships with the project, which has a tokenizer. */
    public static Path holmes() {
        for (Path at = Path.of("").toAbsolutePath(); at != null; at = at.getParent()) {
            Path model = at.resolve("models/holmes");
            if (Files.isDirectory(model)) {
                return model;
            }
        }
        throw new IllegalStateException("no folder above " + Path.of("").toAbsolutePath() + " has models/holmes");
    }

    /** A reference checkpoint of the test resources. */
    public static Path checkpoint(String name) {
        return resource("/checkpoints/" + name + "/config.json").getParent();
    }

    public static Path resource(String name) {
        var url = TestModels.class.getResource(name);
        if (url == null) {
            throw new IllegalStateException("no test resource " + name);
        }
        return Path.of(java.net.URI.create(url.toString()));
    }
}
