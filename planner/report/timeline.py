"""A timeline on a terminal: one row per rank, columns proportional to time, letters that colours only repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from statistics import median
from textwrap import wrap

from planner.frozen import frozen
from planner.report import panels as shared
from planner.report.grid import BOLD, DIM, REVERSE, Column, flow, kept, paint, tables
from planner.report.panels import KINDS, Clock, Panel, ink, lanes, rgb
from planner.simulate import Task

IDLE = "·"
MIXED = "+"
"""A column of which neither one kind nor idle time takes two thirds."""

PAIRED = "&"
"""Behind a forward that runs at the same time as the backward after it."""

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

NARROWEST = 20
"""Columns that the drawing takes at least."""


@frozen
class Scale:
    """Columns per unit of time; `quantum` is the slot that a whole number of columns stands for, 0 if there is none."""

    columns: float
    quantum: float
    boxes: bool

    def at(self, time: float) -> int:
        """The column in which a time lies."""
        return round(time * self.columns)

    def describe(self, clock: Clock) -> str:
        """ "3 columns = 1 slot", or the time that one column stands for."""
        if self.quantum:
            unit = 1.0 if clock.slots and (1 / self.quantum).is_integer() else self.quantum
            count = round(self.columns * unit)
            return f"{count} column{'' if count == 1 else 's'} = {clock.say(unit)}"
        return f"1 column = {clock.tick(float(f'{1 / self.columns:.3g}'))}{' slots' if clock.slots else ''}"


def drawing(panels: Sequence[Panel], clock: Clock, width: int) -> list[str]:
    """All panels one under another on one scale, with their numbers, an axis and a legend; no line exceeds `width`."""
    margin = len(f"rank {max(panel.timeline.p for panel in panels) - 1}  ")
    scale = fit(panels, max(width - margin, NARROWEST))
    table = comparison(panels, clock, width) if len(panels) > 1 else []
    lines: list[str] = []
    for panel in panels:
        lines += [*(paint(line, BOLD) for line in wrap(panel.title, width)), *wrap(panel.caption, width)]
        told = [f"{name} {text}" for name, text in shared.facts(panel, clock) if name != "longest stage"]
        lines += [] if table else _sentence(told, width)
        lines += [*_rows(panel, scale, margin), axis(panel, scale, clock, margin, width)]
        lines += memory_rows(panel, scale, margin, width) if panel.memory else []
        lines += [""]
    lines += [*legend(panels, scale, clock, width)]
    if len(panels) > 1:
        lines += ["", *table, *wrap(shared.verdict(panels), width)]
    return lines


def fit(panels: Sequence[Panel], width: int) -> Scale:
    """The scale at which the longest panel fits: whole columns per slot where times allow it, else all of the width."""
    tasks = [task for panel in panels for row in panel.timeline.tasks for task in row]
    lengths = [task.end - task.start for task in tasks if task.end > task.start]
    span = max(panel.timeline.makespan for panel in panels)
    unit = quantum(tasks, min(lengths))
    if unit and round(span / unit) <= width:
        longest = max(len(f"F{panel.timeline.m}") + (panel.timeline.v > 2) for panel in panels)
        wanted = ceil((longest + 1) * unit / min(lengths))
        return Scale(min(width // round(span / unit), wanted) / unit, unit, True)
    columns = width / span
    return Scale(columns, 0.0, median(lengths) * columns >= 1)


def quantum(tasks: Sequence[Task], shortest: float) -> float:
    """The largest time of which every start and end is a multiple: the shortest task or a small part of it, or 0."""
    for parts in (1, 2, 3, 4, 6):
        unit = shortest / parts
        if all(abs(t / unit - round(t / unit)) < 1e-4 for task in tasks for t in (task.start, task.end)):
            return unit
    return 0.0


def _rows(panel: Panel, scale: Scale, margin: int) -> Iterator[str]:
    begin, v = shared.first_start(panel.timeline), panel.timeline.v
    for rank, tasks in enumerate(panel.timeline.tasks):
        row = [f"rank {rank}".ljust(margin)]
        pieces = _boxes(tasks, begin, scale, v) if scale.boxes else _columns(tasks, begin, scale)
        filled = 0
        for column, text, style in pieces:
            row += [IDLE * (column - filled), paint(text, style) if style else text]
            filled = column + len(text)
        yield "".join(row) + IDLE * (scale.at(panel.timeline.makespan) - filled)


LEVELS = " ▁▂▃▄▅▆▇█"


def memory_rows(panel: Panel, scale: Scale, margin: int, width: int) -> list[str]:
    """A row per rank: the most memory in every column, in eighths of the limit (or of the most, where that is more)."""
    begin, full = shared.first_start(panel.timeline), max(panel.limit, *panel.peaks)
    count = max(scale.at(panel.timeline.makespan), 1)
    lines = wrap(f"memory, a full block is {panel.amount(full)}", width)
    for rank, levels in enumerate(panel.holds):
        most, last = [0.0] * count, 0.0
        edges = [*((min(scale.at(time - begin), count - 1), held) for time, held in levels), (count - 1, 0.0)]
        for (start, held), (end, _) in pairwise(edges):
            for column in range(start, end + 1):
                most[column] = max(most[column], held if column > start or end == start else max(held, last))
            last = held
        cells = "".join(LEVELS[min(ceil(8 * held / full - 1e-9), 8)] for held in most)
        lines.append(f"rank {rank}".ljust(margin) + cells)
    return lines


Piece = tuple[int, str, str]
"""Column, text, style."""


def _boxes(tasks: Sequence[Task], begin: float, scale: Scale, v: int) -> Iterator[Piece]:
    """Every task as a box of its length, an overlapped pair as two halves; what rounds to nothing is left out."""
    filled = 0
    for task, lane, count in lanes(tasks):
        start, end = scale.at(task.start - begin), scale.at(task.end - begin)
        first, last = start + (end - start) * lane // count, start + (end - start) * (lane + 1) // count
        first = max(first, filled)
        if last > first:
            filled = last
            text = box_text(task, last - first, v)
            if lane + 1 < count and len(text) < last - first:
                text = text.ljust(last - first - 1) + PAIRED
            yield first, text.ljust(last - first), _style(task.kind, task.chunk, v)


def box_text(task: Task, room: int, v: int) -> str:
    """As much of kind, micro-batch and chunk as there is room for: lower case in odd chunks, "f3₁" from three on."""
    text = shared.label(task)
    full = text + str(task.chunk).translate(SUBSCRIPTS) if v > 2 else text
    return next((t for t in (full, text) if len(t) <= room), text[0])


def _columns(tasks: Sequence[Task], begin: float, scale: Scale) -> Iterator[Piece]:
    """Every column by what fills it: tasks are shorter than a column here."""
    filling: dict[int, dict[str, float]] = {}
    for task in tasks:
        start, end = (task.start - begin) * scale.columns, (task.end - begin) * scale.columns
        for column in range(int(start), ceil(end - 1e-9)):
            part = min(end, column + 1.0) - max(start, float(column))
            shares = filling.setdefault(column, {})
            shares[task.kind] = shares.get(task.kind, 0.0) + part
    for column, shares in sorted(filling.items()):
        letter = column_text(shares)
        yield column, letter, _style(letter, 0, 1) if letter in KINDS else "" if letter == IDLE else REVERSE


def column_text(shares: dict[str, float]) -> str:
    """One letter for what a column holds: whatever takes two thirds of it, or +."""
    shares = shares | {IDLE: 1.0 - sum(shares.values())}
    kind = max(shares, key=lambda k: shares[k])
    return kind if shares[kind] >= 2 / 3 - 1e-9 else MIXED


def _style(kind: str, chunk: int, v: int) -> str:
    colour = shared.shade(kind, chunk, v)
    return ";".join(f"{layer};2;{r};{g};{b}" for layer, (r, g, b) in ((38, rgb(ink(colour))), (48, rgb(colour))))


def axis(panel: Panel, scale: Scale, clock: Clock, margin: int, width: int) -> str:
    """Times under the columns at which they begin."""
    span = panel.timeline.makespan
    widest = len(clock.tick(span)) + 3
    line = ""
    for time in shared.ticks(span, scale.at(span) / widest, whole=clock.slots and scale.quantum >= 1):
        text = line.ljust(margin + scale.at(time)) + clock.tick(time)
        if len(text) <= width:
            line = text
    return paint(line, DIM)


def legend(panels: Sequence[Panel], scale: Scale, clock: Clock, width: int) -> list[str]:
    """What letters and shades mean, and the scale."""
    v = shared.chunks(panels)
    parts = [f"{paint(f' {kind} ', _style(kind, 0, v))} {KINDS[kind]}" for kind in shared.kinds(panels)]
    parts += [f"{IDLE} idle", *([] if scale.boxes else [f"{MIXED} mixed"])]
    lines = ["  ".join(line) for line in flow(parts, width, 2)]
    said = [scale.describe(clock)]
    said.append("numbers are micro-batches, from 1" if scale.boxes else "a letter takes two thirds of its column")
    if scale.boxes and any(count > 1 for panel in panels for row in panel.timeline.tasks for *_, count in lanes(row)):
        said.append("F1 & B2: at the same time")
    if v > 1 and scale.boxes:
        said.append("upper case, dark: even chunks; lower case, light: odd chunks" + (", f3₁: chunk 1" * (v > 2)))
    return lines + _sentence(said, width)


def _sentence(parts: Sequence[str], width: int) -> list[str]:
    """Parts with dots between them; a part is broken only if it is longer than a line."""
    lines = [" · ".join(line) for line in flow(parts, width, 3)]
    return [piece for line in lines for piece in wrap(line, width)]


def comparison(panels: Sequence[Panel], clock: Clock, width: int) -> list[str]:
    """The numbers of all panels as a table; empty when it is wider than `width`."""
    names = [name for name, _ in shared.facts(panels[0], clock)]
    rows = [[panel.title, *(text for _, text in shared.facts(panel, clock))] for panel in panels]
    columns = [Column("schedule", right=False), *map(Column, names[:-1]), Column(names[-1], right=False)]
    return tables(columns, [rows], width) if kept(columns, rows, width) else []
