"""A timeline as SVG and as a page around it: boxes with tooltips, an axis, what every rank holds; light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from planner.frozen import frozen
from planner.report import panels as shared
from planner.report.page_style import asset, drawing, shell, written
from planner.report.panels import COLOURS, KINDS, Clock, Panel, facts, ink, lanes, verdict
from planner.simulate import Task

LEFT, RIGHT, PAD = 64, 76, 14
"""Room for the names of ranks, for the peaks behind the memory strips, and around everything."""

ROW, BOX, STRIP = 26, 22, 20
"""Heights: a rank with its gap, its boxes, the memory strip of a rank with its gap."""

GLYPH = 6.7
"""Width of a character inside a box, in 11 px."""

LETTER = 7.0
"""Width of a character outside the boxes, in 12 px, at most."""

NARROWEST, WIDEST = 560.0, 12000.0
"""Limits of the drawing area."""


@frozen
class Sheet:
    """The scale that all panels share.

    Attributes:
        pixels: per unit of time; area: width of the drawing area; peak: most activations that any rank holds.
    """

    pixels: float
    area: float
    peak: float

    def x(self, time: float) -> float:
        """Where a time lies."""
        return LEFT + time * self.pixels


def svg(panels: Sequence[Panel], clock: Clock, standalone: bool = True) -> str:
    """All panels one under another on one scale, with a legend; `standalone` adds the XML declaration."""
    sheet = _sheet(panels)
    width = LEFT + max(sheet.area, _texts(panels, clock) * LETTER - LEFT) + RIGHT
    parts: list[str] = []
    y = float(PAD)
    for panel in panels:
        lines, y = _panel(panel, sheet, clock, y, standalone)
        parts += lines
    parts += _legend(panels, y + 8)
    title = "Pipeline timeline: " + ", ".join(panel.title for panel in panels)
    return drawing("timeline", width, y + 34, title, parts, standalone, _colours(panels))


def _sheet(panels: Sequence[Panel]) -> Sheet:
    """Wide enough for the labels of nearly all boxes, within the limits."""
    tasks = (task for panel in panels for row in panel.timeline.tasks for task in row)
    lengths = sorted(task.end - task.start for task in tasks if task.end > task.start)
    span = max(panel.timeline.makespan for panel in panels)
    wanted = (max(len(f"F{panel.timeline.m}") for panel in panels) * GLYPH + 8) / lengths[len(lengths) // 20]
    area = min(max(wanted * span, NARROWEST), WIDEST)
    return Sheet(area / span, area, max(max(panel.limit, *panel.peaks) for panel in panels))


def _texts(panels: Sequence[Panel], clock: Clock) -> int:
    return max(len(text) for panel in panels for text in (panel.caption, _facts(panel, clock)))


def _facts(panel: Panel, clock: Clock) -> str:
    return " · ".join(f"{name} {text}" for name, text in shared.facts(panel, clock) if name != "longest stage")


def _colours(panels: Sequence[Panel]) -> str:
    """One class per kind and chunk, for boxes and for the text on them."""
    rules = []
    shades = sorted({(panel.timeline.v, c) for panel in panels for c in range(panel.timeline.v)})
    for kind in shared.kinds(panels):
        for v, chunk in shades:
            colour = shared.shade(kind, chunk, v)
            name = f"svg.timeline .{_tint(kind, chunk, v)}"
            rules.append(f"{name}{{fill:{colour}}} svg.timeline .on-{_tint(kind, chunk, v)}{{fill:{ink(colour)}}}")
    return "\n".join(rules) + "\n"


def _tint(kind: str, chunk: int, v: int) -> str:
    return f"{kind.lower()}{chunk}of{v}"


def _panel(panel: Panel, sheet: Sheet, clock: Clock, y: float, details: bool) -> tuple[list[str], float]:
    """The elements of a panel that starts at `y`, and where it ends."""
    p = panel.timeline.p
    said = [panel.caption, *([_facts(panel, clock)] if details else [])]
    lines = [written(PAD, y + 14, panel.title, "title")]
    lines += [written(PAD, y + 32 + 17 * i, text, "faint") for i, text in enumerate(said)]
    top = y + 26 + 17 * len(said)
    lines += _axis(panel, sheet, clock, top, top + p * ROW)
    for rank, tasks in enumerate(panel.timeline.tasks):
        lines += _rank(panel, rank, tasks, sheet, clock, top + rank * ROW)
    strips = top + p * ROW + 44
    what = "memory" if panel.memory else "activations held, in micro-batches"
    lines.append(written(PAD, strips - 7, f"{what}, with the peak of every rank", "faint"))
    lines += [line for rank in range(p) for line in _strip(panel, rank, sheet, strips + rank * STRIP)]
    return lines, strips + p * STRIP + 18


def _axis(panel: Panel, sheet: Sheet, clock: Clock, top: float, bottom: float) -> Iterator[str]:
    """Lines and times under the rows."""
    span = panel.timeline.makespan
    widest = (len(clock.tick(span)) + 4) * LETTER
    for time in shared.ticks(span, span * sheet.pixels / widest, whole=clock.slots):
        x = sheet.x(time)
        yield f'<path class="grid" d="M{x:.2f} {top:.1f}V{bottom + 3:.1f}"/>'
        yield written(x, bottom + 15, clock.tick(time), "faint mid")
    if clock.slots:
        yield written(sheet.x(span) + 12, bottom + 15, "slots", "faint")


def _rank(panel: Panel, rank: int, tasks: Sequence[Task], sheet: Sheet, clock: Clock, y: float) -> Iterator[str]:
    """A rank's name, its idle background and its boxes."""
    width = panel.timeline.makespan * sheet.pixels
    yield written(LEFT - 8, y + 15.5, f"rank {rank}", "end")
    yield f'<rect class="idle" x="{LEFT}" y="{y:.1f}" width="{width:.2f}" height="{BOX}"/>'
    for task, lane, count in lanes(tasks):
        yield from _box(panel, task, sheet, clock, y + lane * BOX / count, BOX / count)


def _box(panel: Panel, task: Task, sheet: Sheet, clock: Clock, y: float, height: float) -> Iterator[str]:
    """The box of a task with its tooltip, and as much of its label as fits."""
    begin, v = shared.first_start(panel.timeline), panel.timeline.v
    x, end = sheet.x(task.start - begin), sheet.x(task.end - begin)
    tint = _tint(task.kind, task.chunk, v)
    yield (
        f'<rect class="box {tint}" x="{x:.2f}" y="{y:.1f}" width="{end - x:.2f}" height="{height:.4g}">'
        f"<title>{escape(tooltip(task, v, begin, clock))}</title></rect>"
    )
    text = box_text(task, end - x)
    if text:
        yield f'<text class="in on-{tint}" x="{(x + end) / 2:.2f}" y="{y + height / 2 + 4:.1f}">{text}</text>'


def box_text(task: Task, width: float) -> str:
    """Kind and micro-batch if they fit, else the micro-batch, else nothing."""
    return next((t for t in (shared.label(task), shared.label(task)[1:]) if len(t) * GLYPH + 3 <= width), "")


def tooltip(task: Task, v: int, begin: float, clock: Clock) -> str:
    """What a task is and when it runs."""
    chunk = f", chunk {task.chunk}" if v > 1 else ""
    start, end, length = (clock.say(t) for t in (task.start - begin, task.end - begin, task.end - task.start))
    what = f"{KINDS[task.kind]} of micro-batch {task.micro_batch + 1}{chunk} on rank {task.rank}"
    return f"{what}: {start} to {end} ({length})"


def _strip(panel: Panel, rank: int, sheet: Sheet, y: float) -> Iterator[str]:
    """What a rank holds over time, as steps, with its peak."""
    timeline, base = panel.timeline, y + STRIP - 4
    peak, scale = panel.peaks[rank], (STRIP - 4) / max(sheet.peak, 1e-9)
    begin, end = shared.first_start(timeline), sheet.x(timeline.makespan)
    steps = "".join(f"H{sheet.x(time - begin):.2f}V{base - held * scale:.2f}" for time, held in panel.holds[rank])
    yield written(LEFT - 8, base - 3, f"rank {rank}", "end faint")
    yield (
        f'<path class="held" d="M{LEFT} {base:.2f}{steps}H{end:.2f}V{base:.2f}Z">'
        f"<title>{_most(panel, rank, peak)}</title></path>"
    )
    yield f'<path class="grid" d="M{LEFT} {base:.2f}H{end:.2f}"/>'
    yield written(end + 6, base - 3, panel.amount(peak).removesuffix(" micro-batches"), "faint")


def _most(panel: Panel, rank: int, peak: float) -> str:
    if panel.memory:
        return f"rank {rank} takes at most {panel.amount(peak)}"
    return f"rank {rank} holds the activations of at most {peak:g} micro-batches"


def _legend(panels: Sequence[Panel], y: float) -> Iterator[str]:
    """What the colours and letters mean."""
    x, v = float(PAD), shared.chunks(panels)
    for kind in shared.kinds(panels):
        colour = COLOURS[kind]
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="18" height="14" fill="{colour}"/>'
        yield f'<text x="{x + 9:.1f}" y="{y + 11:.1f}" class="mid" style="fill:{ink(colour)}">{kind}</text>'
        yield written(x + 24, y + 11, KINDS[kind])
        x += 24 + len(KINDS[kind]) * LETTER + 16
    words = "numbers are micro-batches, from 1" + ("; odd chunks in lower case, later chunks lighter" if v > 1 else "")
    yield written(x, y + 11, words, "faint")


MEANING = (
    "Bubble fraction is idle time over all of the time, bubble overhead idle time over work, both of the rank that "
    "works longest; uneven stages is what the others idle beyond it, on average over all of the time. Makespan runs "
    "from the first start to the last end; the longest stage is the longest that one rank takes from its own first "
    "start to its own last end. Activations are counted in micro-batches of a whole rank."
)


def page(panels: Sequence[Panel], clock: Clock) -> str:
    """The whole file."""
    title = escape("Pipeline timeline: " + ", ".join(panel.title for panel in panels))
    best = f"<p>{escape(verdict(panels).capitalize())}.</p>\n" if len(panels) > 1 else ""
    buttons = "".join(
        f'<button type="button" id="{name}">{text}</button> '
        for name, text in (("in", "+"), ("out", "−"), ("fit", "fit"), ("full", "full size"))
    )
    return shell(
        title,
        f"<h1>{title}</h1>\n{table(panels, clock)}{best}"
        f'<div class="zoom">{buttons}<output id="zoom"></output></div>\n'
        f'<div class="drawing">\n{svg(panels, clock, standalone=False)}</div>\n<p class="faint">{MEANING}</p>\n',
        asset("zoom.css"),
        asset("zoom.js"),
    )


def table(panels: Sequence[Panel], clock: Clock) -> str:
    """A row of numbers per panel."""
    names = ["schedule", *(name for name, _ in facts(panels[0], clock))]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(t)}</td>' for t in (p.title, *(t for _, t in facts(p, clock))))}</tr>\n"
        for p in panels
    )
    caption = "<caption>Numbers of every schedule</caption>"
    return f'<div class="scroll"><table class="numbers">{caption}\n<tr>{head}</tr>\n{rows}</table></div>\n'
