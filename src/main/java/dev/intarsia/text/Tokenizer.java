package dev.intarsia.text;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.intarsia.CheckpointException;
import dev.intarsia.IntarsiaException;
import dev.intarsia.checkpoint.Json;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.OptionalInt;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongFunction;

/**
 * The byte-pair tokenizer of a checkpoint directory, run by Hugging Face's own native library and never over a network.
 *
 * <p>Any number of threads may encode and decode at once. {@link #close()} waits for them; afterwards every call throws
 * {@link IllegalStateException}. Calls are native and hold the carrier of a virtual thread while they run.
 */
public final class Tokenizer implements AutoCloseable {

    /** Longest text to encode, in chars: the steps of the library's patterns grow with it and are limited. */
    public static final int MAX_TEXT = 1 << 20;

    private static final int REPLACEMENT = 0xFFFD;

    private final Path file;
    private final int vocabSize;
    private final BitSet known;
    private final BitSet special;
    private final BitSet bytes;
    private final int[] prefix;
    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private long handle;

    private Tokenizer(TokenizerFile checked, long handle) {
        this.file = checked.file();
        this.vocabSize = checked.vocabSize();
        this.known = checked.known();
        this.special = checked.special();
        this.bytes = checked.bytes();
        this.handle = handle;
        this.prefix = missingBos(checked.bos());
    }

    /**
     * Opens {@code tokenizer.json}, and {@code tokenizer_config.json} where there is one.
     *
     * @throws CheckpointException if a file is missing, damaged, or asks for what is not supported
     * @throws IntarsiaException   if the native library cannot be loaded
     */
    public static Tokenizer open(Path directory) {
        TokenizerFile file = TokenizerFile.read(directory);
        String json = file.json();
        loadLibrary();
        long handle;
        try {
            handle = TokenizersLibrary.LIB.createTokenizerFromString(json);
        } catch (RuntimeException e) {
            throw new CheckpointException(file.file() + ": the tokenizer library refuses it: "
                    + Json.printable(e.getMessage()), e);
        }
        try {
            return new Tokenizer(file, handle);
        } catch (RuntimeException e) {
            TokenizersLibrary.LIB.deleteTokenizer(handle);
            throw e;
        }
    }

    private static void loadLibrary() {
        try {
            if (System.getProperty("ai.djl.offline") == null) {
                System.setProperty("ai.djl.offline", "true");
            }
            LibUtils.checkStatus();
        } catch (RuntimeException | LinkageError e) {
            throw new IntarsiaException("the native tokenizer library cannot be loaded: " + e, e);
        }
    }

    /** The begin-of-text token that the configuration asks for, unless the post-processor already puts it there. */
    private int[] missingBos(OptionalInt bos) {
        int[] empty = encodeNatively(handle, "", true);
        return bos.isEmpty() || empty.length > 0 && empty[0] == bos.getAsInt()
                ? new int[0]
                : new int[] {bos.getAsInt()};
    }

    /**
     * The token ids of a text, begin-of-text and the like included where the checkpoint's files ask for them. Special
     * tokens written out in the text become themselves; unpaired surrogates count as U+FFFD.
     *
     * @throws IllegalArgumentException if the text is longer than {@link #MAX_TEXT} chars
     */
    public int[] encode(String text) {
        int[] ids = encode(text, true);
        if (prefix.length == 0) {
            return ids;
        }
        int[] all = Arrays.copyOf(prefix, prefix.length + ids.length);
        System.arraycopy(ids, 0, all, prefix.length, ids.length);
        return all;
    }

    /** The token ids of a text alone, with nothing put around it; otherwise as {@link #encode}. */
    public int[] encodeBare(String text) {
        return encode(text, false);
    }

    private int[] encode(String text, boolean around) {
        if (text.length() > MAX_TEXT) {
            throw new IllegalArgumentException(
                    "text is " + text.length() + " chars long but must be at most " + MAX_TEXT);
        }
        return locked(open -> encodeNatively(open, wellFormed(text), around));
    }

    /** @param around whether the file's post-processor puts special tokens around it */
    private int[] encodeNatively(long tokenizer, String text, boolean around) {
        try {
            long encoding = TokenizersLibrary.LIB.encode(tokenizer, text, around);
            try {
                return Arrays.stream(TokenizersLibrary.LIB.getTokenIds(encoding)).mapToInt(Math::toIntExact).toArray();
            } finally {
                TokenizersLibrary.LIB.deleteEncoding(encoding);
            }
        } catch (RuntimeException e) {
            throw new CheckpointException(file + ": the tokenizer library cannot encode: "
                    + Json.printable(e.getMessage()), e);
        }
    }

    private static String wellFormed(String text) {
        if (text.codePoints().noneMatch(Tokenizer::isSurrogate)) {
            return text;
        }
        return text.codePoints()
                .map(c -> isSurrogate(c) ? REPLACEMENT : c)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                .toString();
    }

    private static boolean isSurrogate(int codePoint) {
        return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
    }

    /**
     * The text of tokens, special ones left out. Ids that stand for no token give no text: models have rows to spare.
     * Bytes that are no UTF-8 become U+FFFD.
     */
    public String decode(int[] ids) {
        return decode(ids, true);
    }

    /** The text of tokens, special ones left out or written out. */
    public String decode(int[] ids, boolean skipSpecial) {
        return decode(ids, 0, ids.length, skipSpecial);
    }

    String decode(int[] ids, int from, int to, boolean skipSpecial) {
        long[] wide = new long[to - from];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = ids[from + i];
        }
        try {
            return locked(open -> TokenizersLibrary.LIB.decode(open, wide, skipSpecial));
        } catch (IllegalStateException e) {
            throw e;
        } catch (RuntimeException e) {
            throw new CheckpointException(file + ": the tokenizer library cannot decode: "
                    + Json.printable(e.getMessage()), e);
        }
    }

    /** Whether an id is a special token, which {@link #decode(int[])} leaves out. */
    public boolean isSpecial(int id) {
        return id >= 0 && special.get(id);
    }

    /** Whether an id takes part in decoding. */
    boolean hasText(int id, boolean skipSpecial) {
        return id >= 0 && known.get(id) && !(skipSpecial && special.get(id));
    }

    /** Whether an id is one byte of a run whose text is known only when the run has ended. */
    boolean isByte(int id) {
        return id >= 0 && bytes.get(id);
    }

    /** One more than the greatest token id, added tokens included. */
    public int vocabSize() {
        return vocabSize;
    }

    private <T> T locked(LongFunction<T> call) {
        lock.readLock().lock();
        try {
            if (handle == 0) {
                throw new IllegalStateException("tokenizer " + file + " is closed");
            }
            return call.apply(handle);
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Frees the native tokenizer. Closing again does nothing. */
    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            if (handle != 0) {
                TokenizersLibrary.LIB.deleteTokenizer(handle);
                handle = 0;
            }
        } finally {
            lock.writeLock().unlock();
        }
    }
}
