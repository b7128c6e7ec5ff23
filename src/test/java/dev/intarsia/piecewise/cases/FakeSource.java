package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.PieceSource;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Pieces with one symbolic argument, the first one distinct, the last one distinct, all others equal. */
record FakeSource(int pieces) implements PieceSource<FakePiece> {
    private static final Pattern PRINTED = Pattern.compile("\\((\\d+), (\\d+)\\)");

    @Override
    public int pieceClass(int piece) {
        return piece == 0 ? 0 : piece == pieces - 1 ? 2 : 1;
    }

    @Override
    public int[] symShapeIndices(int piece) {
        return new int[] {0};
    }

    @Override
    public FakePiece compile(int pieceClass, CompileRange range, boolean concrete) {
        return new FakePiece(range, concrete);
    }

    /** What a store holds under a printed range. */
    static FakePiece stored(String key) {
        Matcher printed = PRINTED.matcher(key);
        if (!printed.matches()) {
            throw new IllegalArgumentException("not a printed range: " + key);
        }
        int start = Integer.parseInt(printed.group(1));
        int end = Integer.parseInt(printed.group(2));
        return new FakePiece(new CompileRange(start, end), start == end);
    }
}
