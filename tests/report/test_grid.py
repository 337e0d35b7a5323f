"""Tables and lines within a width."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.report.grid import BOLD, Column, breadth, fitted, flow, paint, plain, tables

COLUMNS = (Column("#"), Column("tp"), Column("bubble", 2), Column("memory", right=False), Column("bar", 3, head=""))
ROWS = [["1", "8", "2.2%", "70 GiB", "██··"], ["10", "16", "12.0%", "8 GiB", "█···"]]


def test_whole() -> None:
    """Numbers to the right, words to the left, two blanks between, none behind."""
    assert [plain(line) for line in tables(COLUMNS, [ROWS])] == [
        " #  tp  bubble  memory",
        " 1   8    2.2%  70 GiB  ██··",
        "10  16   12.0%  8 GiB   █···",
    ]


def test_columns_leave_by_priority() -> None:
    """The highest first, as many as must; a last line names them."""
    at = {width: [plain(line) for line in tables(COLUMNS, [ROWS], width)] for width in (28, 27, 21)}
    assert len(at[28]) == 3
    assert at[27][0] == " #  tp  bubble  memory" and at[27][3:] == [
        "left out at 27 columns:",
        "  bar; wider, or --json",
    ]
    assert at[21][:3] == [" #  tp  memory", " 1   8  70 GiB", "10  16  8 GiB"]
    assert at[21][3:] == ["left out at 21", "  columns: bubble,", "  bar; wider, or", "  --json"]


def test_blocks() -> None:
    """Too narrow even for what stays: pairs of name and value, every cell there."""
    lines = [plain(line) for line in tables(COLUMNS, [ROWS], 13)]
    assert lines[:3] == ["# 1  tp 8", "    bubble", "      2.2%"]
    assert max(map(len, lines)) <= 13
    assert " ".join(" ".join(lines).split()) == (
        "# 1 tp 8 bubble 2.2% memory 70 GiB ██·· # 10 tp 16 bubble 12.0% memory 8 GiB █···"
    )


def test_groups_share_their_columns() -> None:
    """What one table has no room for leaves all of them, and is named once."""
    lines = [plain(line) for line in tables(COLUMNS, [ROWS[:1], ROWS[1:]], 21)]
    assert [line.split() for line in lines[:-4]] == [
        ["#", "tp", "memory"],
        ["1", "8", "70", "GiB"],
        [],
        ["#", "tp", "memory"],
        ["10", "16", "8", "GiB"],
    ]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=9),
    st.lists(st.tuples(*[st.integers(0, 10**7)] * 9), min_size=1, max_size=4),
    st.integers(20, 120),
)
def test_no_number_is_lost_and_no_line_too_long(
    shape: list[tuple[int, bool]], cells: list[tuple[int, ...]], width: int
) -> None:
    """Cells of columns that never leave are all there; a column is shown, or named as left out."""
    columns = [Column(f"c{i}", goes, right) for i, (goes, right) in enumerate(shape)]
    rows = [[str(cell) for cell in row[: len(columns)]] for row in cells]
    lines = [plain(line) for line in tables(columns, [rows], width)]
    assert max(map(len, lines)) <= width
    words = re.split(r"[\s,;]+", " ".join(lines))
    assert {c.name for c in columns} <= set(words)
    stay = [i for i, column in enumerate(columns) if not column.goes]
    found = iter(words)
    assert all(row[i] in found for row in rows for i in stay)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("模型", 4), ("e\u0301", 1), ("█·×", 3), ("", 0)])
def test_breadth(text: str, columns: int) -> None:
    """Wide characters take two columns, combining ones and styles none."""
    assert breadth(text) == breadth(paint(text, BOLD)) == columns


def test_wide_characters_are_aligned() -> None:
    """By what they take on a screen, not by their number."""
    assert tables([Column("a", right=False), Column("b")], [[["模型", "1"], ["x", "22"]]])[1:] == [
        "模型   1",
        "x     22",
    ]


@pytest.mark.parametrize("width", [30, 44, 60, 200])
def test_commands_can_be_copied(width: int) -> None:
    """A shell reads the broken command as the whole one."""
    words = ["planner", "launch", "--plan", "1", "-m", "my models/a b.yaml", "-g", "64x8xH100", "--cp", "1..4"]
    pieces = fitted(f"Next    {shlex.join(words)}", width)
    assert max(map(len, pieces)) <= max(width, 36)
    shell = ["sh", "-c", "printf '%s\\n' " + "\n".join(pieces)]
    assert subprocess.run(shell, capture_output=True, check=True, text=True).stdout.splitlines() == ["Next", *words]


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("Band    one two three four", ["Band    one two", "        three", "        four"]),
        ("one two three four five", ["one two three", "  four five"]),
        ("a-very-long-label-here  one", ["a-very-long-label-here", "  one"]),
    ],
)
def test_lines_hang_under_their_text(line: str, pieces: list[str]) -> None:
    """Behind a label that leaves room for it; words stay whole."""
    assert fitted(line, 16) == pieces and fitted(line, None) == [line]


def test_flow() -> None:
    """A part that is longer than a line stays whole."""
    assert list(flow(["aa", "bb", "cccccccc"], 6, 1)) == [["aa", "bb"], ["cccccccc"]]
