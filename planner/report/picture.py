"""A plan as a picture: nodes as boxes, a stripe of colour for every group that an accelerator is in, links below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner.frozen import frozen
from planner.questions.placement import Axis, Box, Placement, Stage, placement
from planner.questions.ranked import Ranked
from planner.questions.train import usable_memory
from planner.report.page_style import COLOURS, drawing, written
from planner.report.panels import ink
from planner.report.words import SAID, degrees, with_band
from planner.schema.hardware import Cluster
from planner.units import GIB, format_bytes, format_rate, format_seconds

CELL, NAME, STRIPE, GAP, PAD = 62.0, 16.0, 14.0, 4.0, 12.0
"""Width of an accelerator, heights of its name and of a stripe, room between and around."""

HEAD, BUS, WIDE, ACROSS = 34.0, 20.0, 1180.0, 8
"""Height of a node's words, of a link's bar; width of the picture; accelerators side by side."""

LETTER = 6.6
"""Width of a character in 12 px, at most."""


@frozen
class Sheet:
    """What all boxes share."""

    placed: Placement
    cluster: Cluster
    capacity: float
    folded: bool

    @property
    def cell(self) -> float:
        """Height of an accelerator."""
        return NAME + STRIPE * len(self.placed.axes) + GAP

    def size(self, box: Box) -> tuple[float, float]:
        """Width and height of a node: wide enough for its words."""
        count, lines = len(box.ranks), _words(self, box)
        across = max(min(count, ACROSS) * (CELL + GAP), max(map(len, lines)) * LETTER)
        return across + 2 * PAD, HEAD + PAD + -(-count // ACROSS) * self.cell + BUS + STRIPE * (len(lines) - 2)


def picture(ranked: Ranked, number: int = 1, standalone: bool = True) -> str:
    """The whole drawing; `standalone` adds the XML declaration and what the plan is."""
    job, placed = ranked.job, placement(ranked)
    sheet = Sheet(placed, job.cluster, usable_memory(job), len(placed.boxes) < job.cluster.nodes)
    title = f"{job.model.name} on {job.cluster.gpus:,} × {job.cluster.accelerator.name}, plan {number}"
    parts, y = [], PAD
    if standalone:
        plan = f"{degrees(ranked.plan)} m={ranked.plan.m} · {ranked.plan.schedule} · step {with_band(ranked)}"
        parts += [written(PAD, y + 14, title, "title"), written(PAD, y + 32, plan, "faint")]
        y += 44
    top = y
    for line in _lines(sheet):
        high = max(sheet.size(box)[1] for box in line)
        x = 2 * PAD
        for box in line:
            parts += _node(sheet, box, x, y, high)
            x += sheet.size(box)[0] + PAD
        y += high + 1.5 * PAD
    parts += [f'<path class="wire" d="M{PAD} {top:.1f}V{y:.1f}"/>'] if job.cluster.nodes > 1 else []
    bottom = [*_network(sheet, y), *_legend(sheet, ranked, y + (BUS + PAD if job.cluster.nodes > 1 else 0.0))]
    height = y + BUS + 2 * PAD + STRIPE * 1.4 * (len(placed.axes) + 2)
    return drawing("picture", WIDE, height, title, [*parts, *bottom], standalone)


def _lines(sheet: Sheet) -> Iterator[list[Box]]:
    """Boxes side by side as far as there is room."""
    line: list[Box] = []
    for box in sheet.placed.boxes:
        if line and 3 * PAD + sum(sheet.size(one)[0] + PAD for one in (*line, box)) > WIDE:
            yield line
            line = []
        line.append(box)
    yield line


def _node(sheet: Sheet, box: Box, x: float, y: float, high: float) -> Iterator[str]:
    """A box with its words, its accelerators and its link; a wire to the network below it."""
    wide, _ = sheet.size(box)
    if sheet.cluster.nodes > 1:
        yield f'<path class="wire" d="M{x + wide / 2:.1f} {y + high:.1f}v{0.9 * PAD:.1f}H{PAD}"/>'
    if len(box.nodes) > 1:
        yield f'<rect class="node" x="{x + 4:.1f}" y="{y + 4:.1f}" width="{wide}" height="{high:.1f}" rx="4"/>'
    yield f'<rect class="node" x="{x:.1f}" y="{y:.1f}" width="{wide}" height="{high:.1f}" rx="4"/>'
    lines = _words(sheet, box)
    for n, words in enumerate(lines):
        yield written(x + PAD, y + 16 + STRIPE * n, words, "faint" if n else "")
    top = y + HEAD + STRIPE * (len(lines) - 2) + 4
    for n, rank in enumerate(box.ranks):
        place = x + PAD + n % ACROSS * (CELL + GAP), top + n // ACROSS * sheet.cell
        yield from _cell(sheet.placed.axes, rank, *place)
    link = sheet.cluster.scaleup
    inside = [_load(axis) for axis in sheet.placed.axes if axis.domains == 1]
    if link is not None and len(box.ranks) > 1:
        said = f"{link.name} {format_rate(link.rate)}: {', '.join(inside) or 'nothing that stays inside'}"
        yield from _bar(x + 4, y + high - BUS - 3, wide - 8, said)


def _words(sheet: Sheet, box: Box) -> list[str]:
    """Which nodes, which stages, what they hold; of several nodes what differs between them."""
    first, count = box.nodes[0], len(box.nodes)
    several = [axis.name for axis in sheet.placed.axes]
    held = range(box.stages[0].number, box.last + 1)
    staged = "the whole model"
    if "pp" in several:
        staged = f"stage{'s' if len(held) > 1 else ''} {_span(held[0], held[-1])}"
    if count == 1:
        return [f"node {first} · {staged}", _held(sheet, box.stages)]
    lines = [f"{count:,} nodes alike ({_span(first, box.nodes[-1])}) · {staged} · shown: node {first:,}"]
    spans = [f"{name} {_span(*box.spans[name])}" for name in several if name != "pp"]
    return [*lines, _held(sheet, box.stages), f"in all of them: {', '.join(spans)}"]


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _held(sheet: Sheet, stages: Sequence[Stage]) -> str:
    layers = sorted({one.layers for one in stages})
    ends = [name for name, there in (("embedding", stages[0].first), ("head", stages[-1].last)) if there]
    split = {axis.name: axis.size for axis in sheet.placed.axes}
    share = f", 1/{split['tp']} of each per GPU" if "tp" in split else ""
    experts = f", 1/{split['ep']} of the experts" if "ep" in split else ""
    peak = max(one.peak for one in stages)
    said = " + ".join([f"{_span(layers[0], layers[-1])} layer{'s' if layers[-1] > 1 else ''}", *ends])
    return f"{said}{share}{experts} · {peak / GIB:.1f} of {sheet.capacity / GIB:.1f} GiB"


def _cell(axes: Sequence[Axis], rank: int, x: float, y: float) -> Iterator[str]:
    """One accelerator: its rank, and a stripe for every group with its place in it."""
    yield f'<text x="{x + CELL / 2:.1f}" y="{y + 12:.1f}" class="in">{"rank " * (rank < 10_000)}{rank:,}</text>'
    for n, axis in enumerate(axes):
        group, top = axis.group(rank), y + NAME + n * STRIPE
        colour = COLOURS[(group + n) % len(COLOURS)]
        tip = f"rank {rank}: {axis.name} group {group}, place {axis.place(rank)} of {axis.size}"
        yield (
            f'<g class="s {axis.name}"><rect x="{x:.1f}" y="{top:.1f}" width="{CELL:g}" height="{STRIPE - 1:g}" '
            f'fill="{colour}"><title>{tip}</title></rect><text x="{x + CELL / 2:.1f}" y="{top + 10:.1f}" class="in" '
            f'style="fill:{ink(colour)}">{axis.name} {axis.place(rank)}</text></g>'
        )


def _load(axis: Axis) -> str:
    return f"{axis.name} {format_bytes(axis.sent)}"


def _bar(x: float, y: float, wide: float, said: str) -> Iterator[str]:
    yield f'<rect class="bus" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{BUS:g}" rx="3"/>'
    yield written(x + 8, y + 14, said)


def _network(sheet: Sheet, y: float) -> Iterator[str]:
    """The bar under all nodes, with what leaves a scale-up domain."""
    link = sheet.cluster.network
    if link is None or sheet.cluster.nodes == 1:
        return
    crossing = [_load(axis) for axis in sheet.placed.axes if axis.domains > 1]
    said = ", ".join(crossing) or "nothing: every group stays inside a domain"
    yield from _bar(PAD - 1, y, WIDE - 2 * PAD, f"{link.name} {format_rate(link.rate)} per GPU: {said}")


def _legend(sheet: Sheet, ranked: Ranked, y: float) -> Iterator[str]:
    """A line for every kind of group: how large, over which link, what it sends, what of it is waited for."""
    said = (
        "Colours of a row of stripes: one group each (ten colours, then again from the first). Bytes: sent per GPU and "
    )
    said += "step. " + ("Nodes that hold the same are one box." if sheet.folded else "")
    yield written(PAD, y + 16, said, "faint")
    domain = f"the {sheet.cluster.domain} GPUs that {sheet.cluster.scaleup.name} joins" if sheet.cluster.scaleup else ""
    for n, axis in enumerate(sheet.placed.axes, start=1):
        apart = "neighbours" if axis.stride == 1 else f"{axis.stride:,} ranks apart"
        where = f"inside {domain or 'a node'}" if axis.domains == 1 else f"over {axis.domains:,} domains"
        waited = f"{format_seconds(axis.exposed)} of {format_seconds(ranked.step_time)} not hidden"
        words = (
            f"{SAID['axes'][axis.name]}, groups of {axis.size:,}, {apart}, {where}: {format_bytes(axis.sent)}, {waited}"
        )
        top = y + 16 + n * STRIPE * 1.4
        for shade in range(3):
            colour = COLOURS[(shade + n - 1) % len(COLOURS)]
            yield f'<rect x="{PAD + 9 * shade:.1f}" y="{top - 10:.1f}" width="9" height="12" fill="{colour}"/>'
        yield written(PAD + 34, top, f"{axis.name} {axis.size:,}")
        yield written(PAD + 96, top, words)
