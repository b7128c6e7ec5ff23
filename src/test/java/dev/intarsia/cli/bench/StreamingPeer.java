package dev.intarsia.cli.bench;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A server on the loopback interface that streams completions at a pace that is known. */
public final class StreamingPeer implements AutoCloseable {
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    private final List<JsonNode> bodies = new CopyOnWriteArrayList<>();
    private final long firstMillis;
    private final long nextMillis;
    private volatile String instead;
    private volatile int status = 200;

    public StreamingPeer(long firstMillis, long nextMillis) throws IOException {
        this.firstMillis = firstMillis;
        this.nextMillis = nextMillis;
        server.createContext("/v1/completions", this::complete);
        server.setExecutor(threads);
        server.start();
    }

    public String url() {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    /** Answers with this from now on. */
    StreamingPeer failWith(int code, String text) {
        status = code;
        instead = text;
        return this;
    }

    /** What was asked. */
    public List<JsonNode> bodies() {
        return bodies;
    }

    private void complete(HttpExchange exchange) throws IOException {
        try (exchange) {
            JsonNode body = JsonMapper.shared().readTree(exchange.getRequestBody());
            bodies.add(body);
            exchange.getResponseHeaders().add("Content-Type", "text/event-stream");
            exchange.sendResponseHeaders(status, 0);
            OutputStream out = exchange.getResponseBody();
            if (instead != null) {
                out.write(instead.getBytes(StandardCharsets.UTF_8));
                return;
            }
            int tokens = body.get("max_tokens").intValue();
            out.write(": a comment\n\n".getBytes(StandardCharsets.UTF_8));
            for (int i = 0; i < tokens; i++) {
                TimeUnit.MILLISECONDS.sleep(i == 0 ? firstMillis : nextMillis);
                send(out, "{\"choices\":[{\"index\":0,\"text\":\" t" + i + "\"}],\"usage\":null}");
            }
            send(out, "{\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}]}");
            send(out, "{\"choices\":[],\"usage\":{\"completion_tokens\":" + tokens + "}}");
            send(out, "[DONE]");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void send(OutputStream out, String data) throws IOException {
        out.write(("data: " + data + "\n\n").getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    /** Nobody listens any more. */
    public void stop() {
        server.stop(0);
        threads.shutdownNow();
    }

    @Override
    public void close() {
        stop();
    }
}
