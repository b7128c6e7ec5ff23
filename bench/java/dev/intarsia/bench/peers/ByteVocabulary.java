package dev.intarsia.bench.peers;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/**
 * A vocabulary of any size for engines that insist on texts: token 0 to 255 is a byte, written as the character that GPT-2's
 * byte-level tokenizers give it, and the rest are fillers that no text contains. Nothing is merged, so that n letters are n
 * tokens.
 */
final class ByteVocabulary {
    private ByteVocabulary() {}

    static List<String> tokens(int size) {
        List<String> tokens = new ArrayList<>(size);
        int substitute = 256;
        for (int b = 0; b < 256; b++) {
            boolean printable = b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE;
            tokens.add(Character.toString(printable ? b : substitute++));
        }
        while (tokens.size() < size) {
            tokens.add("<filler" + tokens.size() + ">");
        }
        return tokens;
    }

    /** As a Hugging Face {@code tokenizer.json}. */
    static void write(int size, Path file) throws IOException {
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), Files.newOutputStream(file))) {
            json.writeStartObject();
            json.writeStringProperty("version", "1.0");
            json.writeArrayPropertyStart("added_tokens");
            json.writeEndArray();
            json.writeNullProperty("normalizer");
            pretokenizer(json, "pre_tokenizer");
            json.writeNullProperty("post_processor");
            pretokenizer(json, "decoder");
            json.writeObjectPropertyStart("model");
            json.writeStringProperty("type", "BPE");
            json.writeNullProperty("unk_token");
            json.writeBooleanProperty("byte_fallback", false);
            json.writeBooleanProperty("ignore_merges", false);
            json.writeObjectPropertyStart("vocab");
            List<String> tokens = tokens(size);
            for (int id = 0; id < size; id++) {
                json.writeNumberProperty(tokens.get(id), id);
            }
            json.writeEndObject();
            json.writeArrayPropertyStart("merges");
            json.writeEndArray();
            json.writeEndObject();
            json.writeEndObject();
        }
    }

    private static void pretokenizer(JsonGenerator json, String name) {
        json.writeObjectPropertyStart(name);
        json.writeStringProperty("type", "ByteLevel");
        json.writeBooleanProperty("add_prefix_space", false);
        json.writeBooleanProperty("trim_offsets", true);
        json.writeBooleanProperty("use_regex", true);
        json.writeEndObject();
    }
}
