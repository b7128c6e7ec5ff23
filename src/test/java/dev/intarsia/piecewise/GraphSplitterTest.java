package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class GraphSplitterTest {
    private static SplitPlan split(String ops) {
        return GraphSplitter.split(
                ops.isEmpty() ? List.of() : List.of(ops.split("")), List.of("S"), List.of("e"));
    }

    private static List<String> groups(String ops) {
        List<String> groups = new ArrayList<>();
        for (SplitPlan.Piece piece : split(ops).pieces()) {
            StringBuilder letters = new StringBuilder();
            piece.ops().forEach(op -> letters.append(ops.charAt(op)));
            groups.add(letters.toString());
        }
        return groups;
    }

    @Test
    void onlyASingleEmptyAllocationMoves() {
        assertThat(groups("aSeeSa")).containsExactly("a", "S", "ee", "S", "a");
        assertThat(groups("aSeaSa")).containsExactly("a", "S", "ea", "S", "a");
        assertThat(groups("aSe")).containsExactly("ae", "S");
    }

    @Test
    void anEmptyAllocationWithoutAnEarlierPieceStaysAndReceivesLaterOnes() {
        assertThat(groups("eSa")).containsExactly("e", "S", "a");
        assertThat(groups("SeSeSa")).containsExactly("S", "ee", "S", "S", "a");
    }

    @Test
    void graphsMayStartOrEndWithASplittingOp() {
        assertThat(groups("SSaS")).containsExactly("SS", "a", "S");
        assertThat(groups("S")).containsExactly("S");
        assertThat(groups("")).isEmpty();
        assertThat(split("S").isFull()).isFalse();
    }

    @Test
    void noSplittingOpsMeansOnePiece() {
        SplitPlan plan = GraphSplitter.split(List.of("a", "attention", "a"), List.of(), List.of());
        assertThat(plan.isFull()).isTrue();
        assertThat(plan.pieces()).containsExactly(new SplitPlan.Piece(List.of(0, 1, 2), false));
    }

    @Test
    void saysWhereEachOpWent() {
        assertThat(split("aSeSa").pieceOfOp()).containsExactly(0, 1, 0, 2, 3);
        assertThat(split("aSeSa").pieces()).extracting(SplitPlan.Piece::splitting)
                .containsExactly(false, true, true, false);
    }

    /** Against a reference written with regular expressions on the letters. */
    @Test
    void agreesWithAReference() {
        Random random = new Random(5);
        for (int round = 0; round < 3000; round++) {
            StringBuilder letters = new StringBuilder();
            for (int i = random.nextInt(14); i > 0; i--) {
                letters.append("aSe".charAt(random.nextInt(3)));
            }
            String ops = letters.toString();
            assertThat(groups(ops)).as(ops).isEqualTo(reference(ops));
            int[] pieceOfOp = split(ops).pieceOfOp();
            assertThat(pieceOfOp).as(ops).hasSize(ops.length());
        }
    }

    private static List<String> reference(String ops) {
        List<String> groups = new ArrayList<>();
        int home = -1;
        Matcher run = Pattern.compile("S+|[ae]+").matcher(ops);
        while (run.find()) {
            if (run.group().equals("e") && home >= 0) {
                groups.set(home, groups.get(home) + "e");
            } else {
                home = run.group().startsWith("S") ? home : groups.size();
                groups.add(run.group());
            }
        }
        return groups;
    }
}
