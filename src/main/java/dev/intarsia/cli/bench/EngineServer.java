package dev.intarsia.cli.bench;

import dev.intarsia.Engine;
import dev.intarsia.SamplingParams;
import dev.intarsia.Token;
import dev.intarsia.TokenStream;
import java.util.List;

/** An engine in this process. */
public final class EngineServer implements Server {
    private final String name;
    private final Engine engine;

    /** @param engine closed with this */
    public EngineServer(String name, Engine engine) {
        this.name = name;
        this.engine = engine;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int vocabulary() {
        return engine.info().vocabulary();
    }

    @Override
    public int complete(List<Integer> prompt, int outputTokens, Listener listener) {
        SamplingParams params = SamplingParams.greedy(outputTokens).toBuilder().ignoreEos(true).build();
        int tokens = 0;
        try (TokenStream stream = engine.stream(prompt, params)) {
            while (stream.hasNext()) {
                if (stream.next().id() != Token.NONE) {
                    listener.token();
                    tokens++;
                }
            }
        }
        return tokens;
    }

    @Override
    public void close() {
        engine.close();
    }
}
