package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class InterruptionTest {
    private final Interruption interruption = new Interruption();
    private final AtomicInteger stops = new AtomicInteger();

    @Test
    void withoutWorkItReturnsAtOnce() {
        interruption.request();
        assertThat(interruption.requested()).isTrue();
    }

    @Test
    void workThatEndedIsNotStopped() {
        interruption.stopWith(stops::incrementAndGet);
        interruption.ended();
        interruption.request();
        assertThat(stops).hasValue(0);
    }

    @Test
    void workThatComesTooLateIsStoppedAtOnce() {
        interruption.request();
        interruption.stopWith(stops::incrementAndGet);
        assertThat(stops).hasValue(1);
    }

    @Test
    void itWaitsUntilTheWorkHasEnded() throws Exception {
        CountDownLatch stop = new CountDownLatch(1);
        AtomicBoolean ended = new AtomicBoolean();
        interruption.stopWith(stop::countDown);
        Thread work = Thread.ofPlatform().start(() -> {
            try {
                stop.await();
                Thread.sleep(50); // what a command needs to write its rest
            } catch (InterruptedException e) {
                return;
            }
            ended.set(true);
            interruption.ended();
        });
        interruption.request();
        assertThat(ended).isTrue();
        work.join();
    }
}
