package dev.intarsia.cli.bench;

import dev.intarsia.IntarsiaException;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A server with the {@code /v1/completions} of OpenAI's API, asked over HTTP to stream its answers as server-sent events. An event with text
 * counts as a token, unless the server's {@code usage} says how many there were.
 */
public final class PeerServer implements Server {
    private static final String PATH = "/v1/completions";
    private static final String DATA = "data:";
    private static final String DONE = "[DONE]";
    private static final Duration CONNECT = Duration.ofSeconds(10);
    private static final int SHOWN = 200;
    private static final JsonMapper JSON = JsonMapper.shared();

    private final URI completions;
    private final String model;
    private final int vocabulary;
    private final boolean words;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(CONNECT)
            .executor(threads)
            .build();

    /**
     * Connects to nothing yet.
     *
     * @param url        of the server, with or without {@code /v1/completions}
     * @param model      name that the server knows it by
     * @param vocabulary token ids are drawn below it
     * @param words      prompts are sent as so many words, for servers that take no token ids
     * @throws IllegalArgumentException if the URL is none of HTTP
     */
    public PeerServer(String url, String model, int vocabulary, boolean words) {
        String whole = url.replaceFirst("/+$", "");
        completions = URI.create(whole.endsWith(PATH) ? whole : whole.replaceFirst("/v1$", "") + PATH);
        if (completions.getHost() == null || !List.of("http", "https").contains(completions.getScheme())) {
            throw new IllegalArgumentException("peer is " + url + "; it must be a URL such as http://127.0.0.1:8080");
        }
        this.model = model;
        this.vocabulary = vocabulary;
        this.words = words;
    }

    @Override
    public String name() {
        return completions.toString();
    }

    @Override
    public int vocabulary() {
        return vocabulary;
    }

    @Override
    public int complete(List<Integer> prompt, int outputTokens, Listener listener)
            throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(completions)
                .header("Content-Type", "application/json")
                .header("Accept", "text/event-stream")
                .POST(HttpRequest.BodyPublishers.ofString(body(prompt, outputTokens)))
                .build();
        HttpResponse<Stream<String>> response = client.send(request, HttpResponse.BodyHandlers.ofLines());
        try (Stream<String> lines = response.body()) {
            if (response.statusCode() != 200) {
                throw new IntarsiaException(completions + " answered " + response.statusCode() + ": "
                        + shown(lines.limit(20).collect(Collectors.joining(" "))));
            }
            return read(lines.iterator(), listener);
        }
    }

    private String body(List<Integer> prompt, int outputTokens) {
        ObjectNode body = JSON.createObjectNode();
        body.put("model", model);
        if (words) {
            body.put("prompt", prompt.stream().map(PeerServer::word).collect(Collectors.joining(" ")));
        } else {
            ArrayNode ids = body.putArray("prompt");
            prompt.forEach(ids::add);
        }
        body.put("max_tokens", outputTokens);
        body.put("temperature", 0);
        body.put("ignore_eos", true);
        body.put("stream", true);
        body.putObject("stream_options").put("include_usage", true);
        return JSON.writeValueAsString(body);
    }

    /** Short words that most vocabularies have whole. */
    private static String word(int id) {
        String[] some = {"the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not"};
        return some[id % some.length];
    }

    private int read(Iterator<String> lines, Listener listener) {
        int events = 0;
        int tokens = -1;
        boolean done = false;
        while (lines.hasNext() && !done) {
            String line = lines.next();
            if (!line.startsWith(DATA)) {
                continue; // comments, names of events, empty lines
            }
            String data = line.substring(DATA.length()).strip();
            done = data.equals(DONE);
            if (!done) {
                JsonNode event = parse(data);
                if (event.hasNonNull("error")) {
                    throw new IntarsiaException(completions + " failed: " + shown(event.get("error").toString()));
                }
                if (!event.path("choices").path(0).path("text").asString("").isEmpty()) {
                    listener.token();
                    events++;
                }
                tokens = event.path("usage").path("completion_tokens").asInt(tokens);
            }
        }
        if (events == 0) {
            throw new IntarsiaException(completions + " sent no text");
        }
        return Math.max(tokens, events);
    }

    private JsonNode parse(String data) {
        try {
            return JSON.readTree(data);
        } catch (JacksonException e) {
            throw new IntarsiaException(completions + " sent an event that is no JSON: " + shown(data), e);
        }
    }

    private static String shown(String text) {
        String bytes = new String(text.getBytes(StandardCharsets.US_ASCII), StandardCharsets.US_ASCII);
        return bytes.length() <= SHOWN ? bytes : bytes.substring(0, SHOWN) + "...";
    }

    @Override
    public void close() {
        client.shutdownNow();
        threads.shutdownNow();
    }
}
