"""Tables and lines as wide as the terminal: columns leave by priority, rows become blocks, nothing is cropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap
from unicodedata import combining, east_asian_width

from planner.frozen import frozen

READABLE = 118
"""Columns at which sentences are wrapped, also in a pipe; tables and commands are not wrapped there."""

BOLD, DIM, REVERSE, RED, GREEN, YELLOW = "1", "2", "7", "31", "32", "33"
"""Styles, as parameters of SGR (ECMA-48, 8.3.117)."""

_STYLE = re.compile("\x1b\\[[0-9;]*m")


@frozen
class Column:
    """A column of a table.

    Attributes:
        goes: when it leaves a table that is too wide: the highest first, 0 never.
        head: what stands above it, the name if nothing is given.
        tells: rows that differ in it are not to look alike, whatever leaves.
    """

    name: str
    goes: int = 0
    right: bool = True
    head: str | None = None
    tells: bool = False

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.name if self.head is None else self.head


_COLUMN = re.compile(r"([^:<*=]*)(?::(\d))?(<?)(\*?)(?:=(.*))?")


def columns(said: str) -> tuple[Column, ...]:
    """Columns with | between them: "#|GPUs:3|layout<", each its name, when it leaves, < where it is text.

    Behind these * where rows are told apart by it, and = with what stands above it: "of memory:1=median".
    """
    found = (_COLUMN.fullmatch(one) for one in said.split("|"))
    return tuple(Column(f[1], int(f[2] or 0), not f[3], f[5], bool(f[4])) for f in found if f)


Rows = Sequence[Sequence[str]]


def paint(text: str, style: str) -> str:
    """Text in a style, which whoever prints it may take away again."""
    return f"\x1b[{style}m{text}\x1b[0m" if text else ""


def plain(text: str) -> str:
    """Text without its styles."""
    return _STYLE.sub("", text)


def breadth(text: str) -> int:
    """Columns that a text takes on a screen: two for a wide character (UAX #11), none for a combining one."""
    text = plain(text)
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def tables(columns: Sequence[Column], groups: Sequence[Rows], width: int | None = None, gap: int = 2) -> list[str]:
    """Groups of rows, a blank line between them, under the same columns: those that `width` has room for.

    Those that left are named in a last line. If those that never leave are too wide, rows become blocks of pairs.
    """
    rows = [row for group in groups for row in group]
    shown = kept(columns, rows, width, gap)
    if width is not None and not shown:
        return [line for row in rows for line in _block(columns, row, width)]
    lines: list[str] = []
    for group in groups:
        lines += [*([""] if lines else []), *_grid([columns[i] for i in shown], _cells(group, shown), gap)]
    left = [column.name for i, column in enumerate(columns) if i not in shown]
    if width is None or not left:
        return lines
    return lines + fitted(f"left out at {width} columns: {', '.join(left)}; wider, or --json", width)


def kept(columns: Sequence[Column], rows: Rows, width: int | None, gap: int = 2) -> list[int]:
    """Which columns are shown; none when those that never leave are too wide, or rows would look alike."""
    shown = list(range(len(columns)))
    sizes = _sizes(columns, rows)
    while width is not None and sum(sizes[i] for i in shown) + gap * (len(shown) - 1) > width:
        first = max(shown, key=lambda i: columns[i].goes)
        if not columns[first].goes:
            return []
        shown.remove(first)
    telling = [i for i, column in enumerate(columns) if column.tells]
    alike = len(set(_cells(rows, telling))) > len(set(_cells(rows, [i for i in telling if i in shown])))
    return [] if alike else shown


def _sizes(columns: Sequence[Column], rows: Rows) -> list[int]:
    return [max(breadth(text) for text in (c.title, *(row[i] for row in rows))) for i, c in enumerate(columns)]


def _cells(rows: Rows, shown: Sequence[int]) -> list[tuple[str, ...]]:
    return [tuple(row[i] for i in shown) for row in rows]


def _grid(columns: Sequence[Column], rows: Rows, gap: int) -> Iterator[str]:
    sizes, titles = _sizes(columns, rows), [c.title for c in columns]
    for row in (titles, *rows) if any(titles) else rows:
        line = (" " * gap).join(_padded(*cell) for cell in zip(row, sizes, columns, strict=True)).rstrip()
        yield paint(line, BOLD) if row is titles else line


def _padded(text: str, size: int, column: Column) -> str:
    blanks = " " * (size - breadth(text))
    return blanks + text if column.right else text + blanks


def _block(columns: Sequence[Column], row: Sequence[str], width: int) -> Iterator[str]:
    """A row as pairs of name and value, later lines indented."""
    pairs = [f"{c.title} {cell.strip()}".strip() for c, cell in zip(columns, row, strict=True) if cell.strip()]
    lines = [" " * 4 + "  ".join(line) for line in flow(pairs, width - 4, 2)]
    lines[0] = lines[0].replace(" " * 4 + pairs[0], paint(pairs[0], BOLD), 1)
    return (piece for line in lines for piece in fitted(line, width, 6))


def flow(parts: Sequence[str], width: int, gap: int) -> Iterator[list[str]]:
    """Parts in lines, as many in each as fit with `gap` columns between them."""
    line: list[str] = []
    for part in parts:
        if line and sum(breadth(e) + gap for e in line) + breadth(part) > width:
            yield line
            line = []
        line.append(part)
    yield line


def prose(lines: Sequence[str], width: int | None, indent: int) -> list[str]:
    """Sentences in lines that are easy to read, whatever they are printed on."""
    room = min(width or READABLE, READABLE)
    return [piece for line in lines for piece in wrap(line, room, subsequent_indent=" " * indent)]


def fitted(line: str, width: int | None, indent: int | None = None) -> list[str]:
    """A line in pieces of at most `width` columns, later ones under the text behind its label; no word is broken.

    The pieces of a command can be copied as they are: all but the last end in a backslash.
    """
    if width is None or breadth(line) <= width:
        return [line]
    if found := re.match(r"(?:Next)? +(?=planner )", line):
        blanks, words = found.end() * " ", re.findall(r"(?:'[^']*'|\S)+", line[found.end() :])
        pieces = [" ".join(piece) for piece in flow(words, width - found.end() - 4, 1)]
        return (found[0] + f" \\\n{blanks}  ".join(pieces)).split("\n")
    longest = max(map(breadth, plain(line).split()[1:]), default=0)
    hang = min(_hang(line, width) if indent is None else indent, max(width - longest, 0))
    return wrap(plain(line), width, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False)


def _hang(line: str, width: int) -> int:
    """Where the text begins behind a label and at least two blanks; a little to the right of a line without."""
    found = re.match(r" *\S(?:.*?\S)? {2,}(?=\S)", line)
    if found and found.end() <= width // 2:
        return found.end()
    return len(line) - len(line.lstrip()) + 2


WIDTH, HEIGHT, MARGIN = 60, 12, 10
"""Of a scatter of points on a terminal, and the room beside it for numbers."""


def scatter(x: Sequence[float], y: Sequence[float], marks: str, across: str, up: str, room: int | None) -> list[str]:
    """Lines of a plot of points, each drawn as its mark, within `room` columns; both axes start at 0.

    Where points share a cell the first one is seen.
    """
    if not x:
        return []
    right, top, width = max(x), max(y), min(WIDTH, (room or WIDTH + MARGIN) - MARGIN)
    grid = [[" "] * width for _ in range(HEIGHT)]
    for px, py, mark in reversed(list(zip(x, y, marks, strict=True))):
        column = min(int(px / right * width), width - 1)
        row = HEIGHT - 1 - min(int(py / top * HEIGHT), HEIGHT - 1)
        grid[row][column] = mark
    labels = [f"{top:8,.0f} ┤"] + ["         │"] * (HEIGHT - 2) + [f"{0:8,.0f} ┤"]
    lines = [f"{up:>9}"] + [label + "".join(cells).rstrip() for label, cells in zip(labels, grid, strict=True)]
    return [*lines, "         └" + "─" * width, f"          0{across:^{width - 10}}{right:8,.0f}"]
