package dev.intarsia.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.intarsia.IntarsiaException;
import java.io.PrintWriter;
import java.io.Writer;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LoadRunTest {
    private static final Lengths FIXED = Lengths.uniform(new Lengths.Range(7, 7), new Lengths.Range(4, 4));

    private final Progress progress = new Progress(new PrintWriter(Writer.nullWriter()));

    @AfterEach
    void end() {
        progress.close();
    }

    @Test
    void aPeerIsMeasuredByWhenItsTokensCome() throws Exception {
        try (StreamingPeer peer = new StreamingPeer(60, 20);
                Server server = new PeerServer(peer.url() + "/", "m", 100, false)) {
            LoadReport report = LoadRun.run(server, Load.draw(6, Double.POSITIVE_INFINITY, FIXED, 3), progress);

            assertThat(report.failed()).as(report.firstFailure().orElse("")).isZero();
            assertThat(report.finished()).isEqualTo(6);
            assertThat(report.promptTokens()).isEqualTo(42);
            assertThat(report.outputTokens()).isEqualTo(24);
            assertThat(report.firstToken().count()).isEqualTo(6);
            assertThat(report.interToken().count()).isEqualTo(18);
            // not before the server sent them; how much later depends on the machine
            assertThat(report.firstToken().least()).isBetween(0.06, 5.0);
            assertThat(report.interToken().mean()).isBetween(0.01, 5.0);
            assertThat(report.whole().least()).isBetween(0.12, 10.0);
            assertThat(report.outputRate()).isCloseTo(24 / report.seconds(), within(1e-9));
            assertThat(peer.bodies()).hasSize(6).allSatisfy(body -> {
                assertThat(body.get("prompt")).hasSize(7).allMatch(id -> id.intValue() >= 0 && id.intValue() < 100);
                assertThat(body.get("model").stringValue()).isEqualTo("m");
                assertThat(body.get("stream").booleanValue()).isTrue();
                assertThat(body.get("temperature").intValue()).isZero();
            });
        }
    }

    @Test
    void aPeerCanBeSentWords() throws Exception {
        try (StreamingPeer peer = new StreamingPeer(0, 0);
                Server server = new PeerServer(peer.url() + "/v1", "m", 100, true)) {
            assertThat(LoadRun.run(server, Load.draw(1, 1, FIXED, 3), progress).failed()).isZero();
            assertThat(peer.bodies().getFirst().get("prompt").stringValue().split(" ")).hasSize(7);
        }
    }

    @Test
    void whatAPeerDoesWrongIsCountedAndSaid() throws Exception {
        try (StreamingPeer peer = new StreamingPeer(0, 0);
                Server server = new PeerServer(peer.url(), "m", 100, false)) {
            assertThat(failure(server, peer.failWith(503, "too busy"))).contains("answered 503: too busy");
            assertThat(failure(server, peer.failWith(200, ""))).contains("sent no text");
            assertThat(failure(server, peer.failWith(200, "data: {nonsense\n\n"))).contains("no JSON", "{nonsense");
            assertThat(failure(server, peer.failWith(200, "data: {\"error\":{\"message\":\"no such model\"}}\n\n")))
                    .contains("no such model");
            peer.stop();
            assertThat(failure(server, peer)).isNotEmpty();
        }
        assertThatIllegalArgumentException().isThrownBy(() -> new PeerServer("127.0.0.1:80", "m", 1, false));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new PeerServer("ftp://127.0.0.1", "m", 1, false))
                .withMessageContaining("peer is ftp://127.0.0.1");
    }

    private String failure(Server server, StreamingPeer peer) {
        LoadReport report = LoadRun.run(server, Load.draw(2, Double.POSITIVE_INFINITY, FIXED, 3), progress);
        assertThat(report.failed()).isEqualTo(2);
        assertThat(report.finished()).isZero();
        assertThat(report.firstToken().count()).isZero();
        return report.firstFailure().orElseThrow();
    }

    /** The last request is answered before any other: an open loop does not wait for the answers of those before. */
    @Test
    void requestsDoNotWaitForEachOther() {
        int count = 8;
        CountDownLatch all = new CountDownLatch(count);
        Server server = new Fake() {
            @Override
            public int complete(List<Integer> prompt, int outputTokens, Listener listener) throws Exception {
                all.countDown();
                all.await();
                listener.token();
                return 1;
            }
        };
        LoadReport report = LoadRun.run(server, Load.draw(count, 200, FIXED, 3), progress);
        assertThat(report.finished()).isEqualTo(count);
        // the wait of the first begins at its own arrival, and it waited for the last to arrive
        double last = Load.draw(count, 200, FIXED, 3).requests().getLast().at();
        assertThat(report.firstToken().greatest()).isGreaterThanOrEqualTo(last * 0.999);
    }

    @Test
    void anInterruptEndsIt() {
        Server server = new Fake() {
            @Override
            public int complete(List<Integer> prompt, int outputTokens, Listener listener) throws Exception {
                new CountDownLatch(1).await();
                return 0;
            }
        };
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> LoadRun.run(server, Load.draw(2, 1, FIXED, 3), progress))
                .isInstanceOf(IntarsiaException.class)
                .hasMessageContaining("interrupted");
        assertThat(Thread.interrupted()).isTrue();
    }

    private abstract static class Fake implements Server {
        @Override
        public String name() {
            return "fake";
        }

        @Override
        public int vocabulary() {
            return 10;
        }

        @Override
        public void close() {}
    }
}
