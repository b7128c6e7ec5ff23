package dev.intarsia.lifetime;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** What engines report while this is open; nothing of it is printed. */
public final class Warnings extends Handler implements AutoCloseable {

    private final Logger logger = Logger.getLogger("dev.intarsia");
    private final List<String> messages = new CopyOnWriteArrayList<>();

    public Warnings() {
        logger.addHandler(this);
        logger.setUseParentHandlers(false);
    }

    /** All warnings so far. */
    public List<String> messages() {
        return messages;
    }

    @Override
    public void publish(LogRecord report) {
        if (report.getLevel() == Level.WARNING) {
            messages.add(report.getMessage());
        }
    }

    @Override
    public void flush() {
    }

    @Override
    public void close() {
        logger.removeHandler(this);
        logger.setUseParentHandlers(true);
    }
}
