package dev.intarsia.fuzz;

import java.util.ArrayList;
import java.util.List;

/** Where the values of a JSON text lie, so that the text can be edited, into what no tree can hold. */
final class JsonTree {

    /**
     * A value: characters [from, to) of the text.
     *
     * @param start    where its key begins if it is a member of an object, else {@code from}
     * @param children values inside it, in order
     */
    record Node(int start, int from, int to, List<Node> children) {
        boolean isMember() {
            return start < from;
        }
    }

    private static final class NotJson extends RuntimeException {
        private static final long serialVersionUID = 1L;

        NotJson() {
            super(null, null, false, false);
        }
    }

    private static final int MAX_DEPTH = 200;

    private final String text;
    private int at;

    private JsonTree(String text) {
        this.text = text;
    }

    /** The value that a text holds, or null where it is no JSON, or deeper than anything worth another edit. */
    static Node parse(String text) {
        JsonTree tree = new JsonTree(text);
        try {
            tree.space();
            return tree.value(tree.at, 0);
        } catch (NotJson e) {
            return null;
        }
    }

    private Node value(int start, int depth) {
        if (depth > MAX_DEPTH) {
            throw new NotJson();
        }
        int from = at;
        List<Node> children = new ArrayList<>();
        switch (peek()) {
            case '{' -> items(children, '}', true, depth);
            case '[' -> items(children, ']', false, depth);
            case '"' -> string();
            default -> {
                while (at < text.length() && ",]} \r\n\t:".indexOf(text.charAt(at)) < 0) {
                    at++;
                }
            }
        }
        if (at == from) {
            throw new NotJson();
        }
        return new Node(start, from, at, children);
    }

    private void items(List<Node> children, char end, boolean keys, int depth) {
        at++;
        space();
        while (peek() != end) {
            int start = at;
            if (keys) {
                string();
                space();
                expect(':');
                space();
            }
            children.add(value(start, depth + 1));
            space();
            if (peek() != end) {
                expect(',');
                space();
            }
        }
        at++;
    }

    private void string() {
        expect('"');
        while (peek() != '"') {
            at += peek() == '\\' ? 2 : 1;
        }
        at++;
    }

    private void space() {
        while (at < text.length() && " \r\n\t".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private void expect(char c) {
        if (peek() != c) {
            throw new NotJson();
        }
        at++;
    }

    private char peek() {
        if (at >= text.length()) {
            throw new NotJson();
        }
        return text.charAt(at);
    }
}
