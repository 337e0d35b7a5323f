"""Schedules by name: from names, counts and times as typed to their timelines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from planner.errors import PlannerError, UnitError, UnknownName, meant
from planner.frozen import frozen
from planner.units import format_seconds, given

if TYPE_CHECKING:
    from planner.report.panels import Figure, Panel

MOST_RANKS, MOST_MICRO_BATCHES, MOST_CHUNKS = 1024, 100_000, 64

MOST_OPERATIONS = 200_000
"""Operations that one schedule may have: a drawing of more is neither quick nor readable."""

MOST_SCHEDULES = 20

_PLAIN = re.compile(r"\d{1,9}(\.\d{1,9})?")


@frozen
class Times:
    """What a micro-batch takes on a rank, and a hop; in seconds, or in slots."""

    forward: float
    backward: float
    weight: float
    hop: float
    slots: bool

    def describe(self, kinds: set[str], blocking: bool) -> str:
        """ "t_f = 1, t_b = 2 slots (weight gradient 1), hop 0.1 slots asynchronous": what the kinds call for."""
        say = (lambda x: f"{x:g}") if self.slots else format_seconds
        unit = " slots" if self.slots else ""
        said = f"t_f = {say(self.forward)}" + (f", t_b = {say(self.backward)}" if kinds - {"F"} else "") + unit
        if "W" in kinds:
            said += f" (weight gradient {say(self.weight)})"
        if self.hop:
            said += f", hop {say(self.hop)}{unit} {'blocking' if blocking else 'asynchronous'}"
        return said


def figure_of_names(
    names: str, pp: str | None, v: str | None, m: int | None, times: dict[str, str | None], blocking: bool
) -> Figure:
    """All schedules that are named, at the same number of ranks and micro-batches, with the same times.

    Raises:
        PlannerError: an unknown name, a count that is none, a time without a unit among times with one ...
    """
    from planner.report.panels import Figure
    from planner.schedules import SCHEDULES

    ranks = whole("--pp", pp, 4, MOST_RANKS)
    micro_batches = whole("-m", None if m is None else str(m), 8, MOST_MICRO_BATCHES)
    chunks = None if v is None else whole("--v", v, 1, MOST_CHUNKS)
    wanted = [chosen(text.strip(), chunks) for text in names.split(",")]
    if len(wanted) > MOST_SCHEDULES:
        raise PlannerError(f"--compare draws {MOST_SCHEDULES} schedules at most, not {len(wanted)}")
    split = any(SCHEDULES[name].splits for name, _ in wanted)
    lengths = read_times(times, split)
    panels = tuple(_panel(name, ranks, micro_batches, n, lengths, blocking) for name, n in wanted)
    asked = {
        "schedules": [{"name": name, "v": n} for name, n in wanted],
        "pp": ranks,
        "micro_batches": micro_batches,
        "time_unit": "slot" if lengths.slots else "s",
        "forward": lengths.forward,
        "backward": lengths.backward,
        "weight_gradient": lengths.weight,
        "p2p_hop": lengths.hop,
        "blocking": blocking,
    }
    return Figure(panels, lengths.slots, asked)


def whole(flag: str, text: str | None, default: int, most: int) -> int:
    """A count as typed."""
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or not 1 <= int(text) <= most:
        raise PlannerError(f"{flag} must be one whole number between 1 and {most:,}, not {text:.40}")
    return int(text)


def chosen(text: str, chunks: int | None) -> tuple[str, int]:
    """Name and chunks per rank out of "interleaved:2"; --v counts where the name has no number.

    Raises:
        PlannerError: no such schedule.
    """
    from planner.schedules import SCHEDULES

    name, colon, count = text.partition(":")
    if name not in SCHEDULES:
        known = meant(name, [*SCHEDULES]) or (f"known: {', '.join(SCHEDULES)}",)
        raise UnknownName(f"no schedule is called {name!r:.40}", known)
    return name, whole(f"{name}:", count, 1, MOST_CHUNKS) if colon else chunks or SCHEDULES[name].usual_chunks


def check_size(p: int, m: int, v: int) -> None:
    """Refuse what would take minutes to draw."""
    operations = 2 * p * m * v
    if operations > MOST_OPERATIONS:
        raise PlannerError(
            f"{p:,} ranks × {m:,} micro-batches × {v} chunks are {operations:,} operations, too many to draw",
            f"at most {MOST_OPERATIONS:,}: fewer micro-batches show the same picture",
        )


def read_times(typed: dict[str, str | None], split: bool) -> Times:
    """The times as typed, those that are missing in proportion.

    The backward is as long as the forward, so that a drawing has one box per slot, or twice as long when some schedule
    splits it in two; the weight gradient is half of it.
    """
    values = {flag: _time(flag, text) for flag, text in typed.items() if text is not None}
    units = {has_unit for value, has_unit in values.values() if value}
    if len(units) > 1:
        raise UnitError("some times have a unit and others have none", "all of them in seconds, or all in slots")
    slots = units != {True}
    ratio = 2.0 if split else 1.0
    given = {flag: value for flag, (value, _) in values.items()}
    if not slots and not given.keys() & {"--forward", "--backward"}:
        raise UnitError("a time in seconds needs a --forward in seconds too", "--forward 10ms --p2p 1ms")
    forward = given.get("--forward", given["--backward"] / ratio if "--backward" in given and not slots else 1.0)
    backward = given.get("--backward", forward * ratio)
    weight = given.get("--weight", backward / 2)
    for flag, value in (("--forward", forward), ("--backward", backward)):
        if value <= 0:
            raise PlannerError(f"{flag} must be positive")
    if weight >= backward:
        raise PlannerError("--weight is a part of --backward and must be shorter", "--backward 2 --weight 1")
    return Times(forward, backward, weight, given.get("--p2p", 0.0), slots)


def _time(flag: str, text: str) -> tuple[float, bool]:
    """A time, and whether it has a unit."""
    if _PLAIN.fullmatch(text.strip()):
        return float(text), False
    return given(flag, text, "second", f"{flag} 12ms, or a plain number of slots: {flag} 2"), True


def _panel(name: str, p: int, m: int, v: int, times: Times, blocking: bool) -> Panel:
    from planner.report.panels import Panel
    from planner.schedules import SCHEDULES
    from planner.simulate import replay

    check_size(p, m, v)
    schedule = SCHEDULES[name]
    if broken := schedule.broken(p, m, v):
        what = f"{name}: {broken.message.format(p=p, m=m, v=v)}"
        raise PlannerError(what, f"rule: {broken.name} ({broken.source})")
    lengths = {"forward": times.forward, "backward": times.backward, "weight": times.weight, "hop": times.hop}
    ran = replay(name, p, m, v, **lengths, blocking=blocking)
    parts = "tokens" if schedule.placement.name == "tokens" else "chunks"
    said = [f"{p} ranks × {m} micro-batches", times.describe({task.kind for task in ran.tasks[0]}, blocking)]
    if schedule.asynchronous:
        said.append("asynchronous: the optimizer sees other weights")
    return Panel(schedule.title + (f", {v} {parts}" if v > 1 else ""), " · ".join(said), ran)
