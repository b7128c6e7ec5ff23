package dev.intarsia.cli;

import java.util.ArrayList;
import java.util.List;

/** Columns for people: each as wide as its widest cell, numbers to the right. */
final class Table {
    private static final String GAP = "  ";

    private final List<List<String>> rows = new ArrayList<>();

    Table(Object... header) {
        row(header);
    }

    Table row(Object... cells) {
        List<String> row = new ArrayList<>();
        for (Object cell : cells) {
            row.add(String.valueOf(cell));
        }
        rows.add(row);
        return this;
    }

    /** The rows, each after {@code indent} and with a line end. */
    String text(String indent) {
        StringBuilder text = new StringBuilder();
        for (List<String> row : rows) {
            StringBuilder line = new StringBuilder(indent);
            for (int column = 0; column < row.size(); column++) {
                String cell = row.get(column);
                String blanks = " ".repeat(width(column) - cell.length());
                line.append(column == 0 ? "" : GAP).append(isNumeric(column) ? blanks + cell : cell + blanks);
            }
            text.append(line.toString().stripTrailing()).append(System.lineSeparator());
        }
        return text.toString();
    }

    private int width(int column) {
        return rows.stream()
                .filter(row -> column < row.size())
                .mapToInt(row -> row.get(column).length())
                .max()
                .orElse(0);
    }

    /** Below the header, digits come first everywhere. */
    private boolean isNumeric(int column) {
        return rows.stream()
                .skip(1)
                .filter(row -> column < row.size() && !row.get(column).isEmpty())
                .allMatch(row -> row.get(column).matches("[0-9.]+( ?[kMGTKi]*B?)"));
    }
}
