"""What every drawing of a timeline shares: panels, numbers beside them, also as JSON, how times read, colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor, log10
from typing import TYPE_CHECKING, Any, cast

from planner import __version__
from planner.frozen import frozen, picked
from planner.questions.occupancy import Occupancy
from planner.simulate import Task, Timeline
from planner.units import GIB, format_bytes, format_seconds

if TYPE_CHECKING:
    from planner.documents import timelines as form


KINDS = {"F": "forward", "B": "backward", "I": "input gradient", "W": "weight gradient"}
"""Letters of the tasks, in the order of a legend."""

COLOURS = {"F": "#0072B2", "B": "#009E73", "I": "#CC79A7", "W": "#E69F00"}
"""Okabe and Ito's palette, which people with colour-vision deficiencies tell apart."""

LISTED = 16
"""Ranks up to which a number per rank is listed."""


@frozen
class Panel:
    """One timeline with its heading and a line of what was assumed.

    Attributes:
        memory: bytes of every rank, where they are asked for; limit: that a rank may use.
    """

    title: str
    caption: str
    timeline: Timeline
    memory: tuple[Occupancy, ...] = ()
    limit: float = 0.0

    @property
    def holds(self) -> Sequence[Sequence[tuple[float, float]]]:
        """Per rank, from when on it holds how much: bytes, or micro-batches' worth of activations."""
        return [rank.levels for rank in self.memory] or self.timeline.held

    @property
    def peaks(self) -> list[float]:
        """The most that each rank holds."""
        return [max(level for _, level in rank) for rank in self.holds]

    def amount(self, held: float) -> str:
        """As people read it: "71.2 GiB", "4 micro-batches"."""
        return format_bytes(held) if self.memory else f"{round(held, 2):g} micro-batches"


@frozen
class Figure:
    """Panels on one scale.

    Attributes:
        slots: whether times are slots rather than seconds; inputs: what was asked, for JSON.
    """

    panels: tuple[Panel, ...]
    slots: bool
    inputs: dict[str, Any]


@frozen
class Numbers:
    """What a timeline comes down to.

    Attributes:
        bubble_fraction: idle time of the rank that works longest / makespan, as in a plan's step time.
        bubble_overhead: the same idle time / time that this rank works.
        imbalance_fraction: what the other ranks idle beyond it, on average / makespan; 0 where stages are even.
        idle: per rank, makespan less its own work; peaks: per rank, micro-batches' worth of activations.
    """

    bubble_fraction: float
    bubble_overhead: float
    imbalance_fraction: float
    makespan: float
    longest_stage: float
    idle: tuple[float, ...]
    peaks: tuple[float, ...]


def numbers(timeline: Timeline) -> Numbers:
    """Bubble under both names, both clocks, idle time and peak activations of every rank."""
    span, ranks = timeline.makespan, range(timeline.p)
    idle = tuple(span - worked(row) for row in timeline.tasks)
    least, mean = min(idle), sum(idle) / timeline.p
    shares = (least / span, least / (span - least), (mean - least) / span)
    return Numbers(*shares, span, timeline.longest_stage, idle, tuple(timeline.peak(rank) for rank in ranks))


def worked(row: Sequence[Task]) -> float:
    """Time in which a rank does something: what runs at the same time counts once."""
    total, until = 0.0, row[0].start
    for task in row:
        total += max(0.0, task.end - max(task.start, until))
        until = max(until, task.end)
    return total


@frozen
class Clock:
    """How times are said: in seconds, or in slots when the times have no unit."""

    slots: bool = True

    def say(self, value: float) -> str:
        """A time with its unit: "22 slots", "1.35 s"."""
        return f"{self.tick(value)} slot{'' if value == 1 else 's'}" if self.slots else format_seconds(value)

    def tick(self, value: float) -> str:
        """A time at an axis, which names the slots once elsewhere."""
        return f"{round(value, 6):g}" if self.slots else "0" if value == 0 else format_seconds(value)


def first_start(timeline: Timeline) -> float:
    """When the first task starts."""
    return min(row[0].start for row in timeline.tasks)


def lanes(row: Sequence[Task]) -> Iterator[tuple[Task, int, int]]:
    """(task, lane, lanes) of a rank's tasks: two lanes for a pair that runs at the same time, else one."""
    position = 0
    while position < len(row):
        pair = row[position : position + 2]
        together = len(pair) == 2 and pair[1].start < pair[0].end - 1e-9 * (pair[0].end - pair[0].start)
        yield from ((task, lane, 2) for lane, task in enumerate(pair)) if together else ((row[position], 0, 1),)
        position += 1 + together


def label(task: Task) -> str:
    """ "F1": kind and micro-batch, counted from 1 as in the papers' figures; "f1" in odd chunks."""
    text = f"{task.kind}{task.micro_batch + 1}"
    return text.lower() if task.chunk % 2 else text


def kinds(panels: Sequence[Panel]) -> list[str]:
    """Kinds that occur, in the order of a legend."""
    found = {task.kind for panel in panels for row in panel.timeline.tasks for task in row}
    return [kind for kind in KINDS if kind in found]


def chunks(panels: Sequence[Panel]) -> int:
    """Most chunks that a rank has in any panel."""
    return max(panel.timeline.v for panel in panels)


def shade(kind: str, chunk: int, v: int) -> str:
    """Colour of a kind, lighter for later chunks."""
    mix = 0.55 * chunk / (v - 1) if v > 1 else 0.0
    return "#" + "".join(f"{round(c + (255 - c) * mix):02X}" for c in rgb(COLOURS[kind]))


def ink(background: str) -> str:
    """Black or white, whichever stands out more (WCAG 2.1 contrast: 1.05 / (Y + 0.05) against (Y + 0.05) / 0.05)."""
    linear = (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb(background))
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#FFFFFF"


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of "#0072B2"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def nice_step(span: float, most: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that divides `span` into at most `most` steps."""
    least = span / max(most, 1.0)
    power = 10.0 ** floor(log10(least))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= least * (1 - 1e-9))


def ticks(span: float, most: float, whole: bool) -> list[float]:
    """Times at which an axis is labelled, from 0; whole numbers on request."""
    step = nice_step(span, most)
    step = max(step, 1.0) if whole else step
    return [i * step for i in range(int(span / step * (1 + 1e-9)) + 1)]


def per_rank(values: Sequence[float]) -> str:
    """One number per rank: listed, or summed up when all are equal or there are too many."""
    texts = [f"{round(value, 2):g}" for value in values]
    if len(texts) > 1 and len(set(texts)) == 1:
        return f"{texts[0]} on every rank"
    if len(texts) <= LISTED:
        return " ".join(texts)
    high, low = max(values), min(values)
    return f"{high:g} (rank {values.index(high)}) down to {low:g} (rank {values.index(low)})"


def facts(panel: Panel, clock: Clock) -> list[tuple[str, str]]:
    """The numbers of a panel as (name, text), in the order in which every drawing shows them."""
    n = numbers(panel.timeline)
    return [
        ("bubble fraction", f"{n.bubble_fraction:.1%}"),
        ("bubble overhead", f"{n.bubble_overhead:.1%}"),
        *([] if clock.slots else [("uneven stages", f"{n.imbalance_fraction:.1%}")]),
        ("makespan", clock.say(n.makespan)),
        ("longest stage", clock.say(n.longest_stage)),
        ("peak activations per rank", per_rank(n.peaks)),
        *([("peak GiB per rank", per_rank([round(peak / GIB, 1) for peak in panel.peaks]))] if panel.memory else []),
    ]


def verdict(panels: Sequence[Panel]) -> str:
    """Which of several schedules is fastest, and which holds least; panels that tie are all named."""
    times = [panel.timeline.makespan for panel in panels]
    peaks = [max(numbers(panel.timeline).peaks) for panel in panels]
    return f"least time: {_least(panels, times)}; fewest activations on the fullest rank: {_least(panels, peaks)}"


def _least(panels: Sequence[Panel], values: Sequence[float]) -> str:
    best = min(values)
    return ", ".join(panel.title for panel, x in zip(panels, values, strict=True) if x <= best * (1 + 1e-9))


def timelines(figure: Figure) -> form.Timelines:
    """All panels; times are seconds, or slots when they were given without a unit, and the keys say which."""
    return {
        "schema": "planner.timeline/1",
        "planner_version": __version__,
        "inputs": figure.inputs,
        "timelines": [_timeline(panel, "slots" if figure.slots else "s") for panel in figure.panels],
    }


def _timeline(panel: Panel, unit: str) -> form.InSlots | form.InSeconds:
    timeline, n = panel.timeline, numbers(panel.timeline)
    found = picked(
        panel,
        "schedule=timeline.schedule title pp=timeline.p v=timeline.v micro_batches=timeline.m operations",
        operations=sum(map(len, timeline.tasks)),
    )
    times = f"makespan_{unit}=makespan longest_stage_{unit}=longest_stage idle_per_rank_{unit}=idle"
    ends = {
        "peak_memory_per_rank_bytes": list(panel.peaks) if panel.memory else None,
        "usable_memory_bytes": panel.limit or None,
    }
    peaks = "peak_activations_per_rank_micro_batches=peaks"
    found |= picked(n, f"bubble_fraction bubble_overhead imbalance_fraction {peaks}") | ends | picked(n, times)
    return cast("form.InSlots | form.InSeconds", found)
