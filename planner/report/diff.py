"""Two plans out of saved answers: what differs, and what that is in seconds and bytes, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log1p
from typing import TYPE_CHECKING, Any

from planner import __version__
from planner.errors import PlannerError
from planner.report.grid import columns, tables
from planner.report.words import PART_NAMES
from planner.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from planner.documents import checks

Document = Mapping[str, Any]

NUMBERS = {"rank", "headroom_bytes", "fullest_rank", "fullest_moment", "verdict", "band_reason", "memory_band_reason"}
NUMBERS |= {"short_by_bytes", "binding_constraint", "usable_memory_bytes"}
"""Keys of a plan that follow from what it is."""


def plan_of(document: Document, number: int) -> Document:
    """Plan `number` of an answer, or the one that it is about.

    Raises:
        PlannerError: it has none, or not so many.
    """
    found = document.get("plans") or document.get("nearest_misses") or [document.get("plan")]
    plans = [one for one in found if isinstance(one, Mapping) and "step_time_parts_s" in one]
    if not plans:
        raise PlannerError(
            "no training plan in this answer", "planner recommend --json has some, explain --json has one"
        )
    if not 1 <= number <= len(plans):
        raise PlannerError(f"there are {len(plans)} plans in this answer, no number {number}")
    return dict(plans[number - 1])


def difference(first: tuple[Document, int], second: tuple[Document, int]) -> checks.Diff:
    """The answer."""
    one, other = plan_of(*first), plan_of(*second)
    return {
        "schema": "planner.diff/1",
        "planner_version": __version__,
        "asked": _apart(_asked(first[0]), _asked(second[0])),
        "plan": _apart(_what(one), _what(other)),
        "step_time_s": _parts(
            one["step_time_parts_s"] | {"total": one["step_time_s"]},
            other["step_time_parts_s"] | {"total": other["step_time_s"]},
        ),
        "memory_bytes": _parts(one["memory_bytes"], other["memory_bytes"]),
        "step_time_change": other["step_time_s"] / one["step_time_s"] - 1.0,
        "step_time_band": one["step_time_band"],
    }


def _asked(document: Document) -> dict[str, Any]:
    """What was asked, flat: "workload seq", "cluster gpus"."""
    found: dict[str, Any] = {}
    for name, value in document.get("inputs", {}).items():
        if isinstance(value, Mapping):
            found |= {f"{name} {key}": one for key, one in value.items() if key not in ("source", "profile")}
        elif name != "plan":
            found[name] = value
    return found


def _what(plan: Document) -> dict[str, Any]:
    """What makes a plan, without what comes of it."""
    numeric = ("_s", "_bytes", "_band", "per_second", "mfu", "bubble_fraction", "bubble_overhead")
    return {key: value for key, value in plan.items() if key not in NUMBERS and not key.endswith(numeric)}


def _apart(one: Document, other: Document) -> list[checks.Pair]:
    names = dict.fromkeys((*one, *other))
    pairs = [(name, one.get(name), other.get(name)) for name in names]
    return [{"name": name, "first": a, "second": b} for name, a, b in pairs if a != b]


def _parts(one: Mapping[str, float], other: Mapping[str, float]) -> list[checks.Part]:
    """Parts that are not the same, the largest change first, the whole last."""
    names = [name for name in dict.fromkeys((*one, *other)) if name != "total"]
    pairs = sorted(((n, one.get(n, 0.0), other.get(n, 0.0)) for n in names), key=lambda p: -abs(p[2] - p[1]))
    shown = [pair for pair in pairs if pair[1] != pair[2]] + [("total", one["total"], other["total"])]
    return [{"name": name, "first": a, "second": b, "change": b - a} for name, a, b in shown]


def diff_lines(found: Document, width: int | None) -> Iterator[str]:
    """The answer on a terminal or in a pipe."""
    if rows := apart_rows(found):
        yield from (*tables(columns("what differs<|first<|second<"), [rows], width), "")
    else:
        yield from (SAME, "")
    for head, parts in part_rows(found):
        yield from (*tables(columns(f"{head}<|first|second|change"), [[texts for texts, _ in parts]], width), "")
    yield sentence(found)


SAME = "The same plan for the same question."


def apart_rows(found: Document) -> list[tuple[str, ...]]:
    """What was asked or planned differently: name, first, second."""
    both = [*found["asked"], *found["plan"]]
    return [(one["name"].replace("_", " "), _said(one["first"]), _said(one["second"])) for one in both]


def part_rows(found: Document) -> Iterator[tuple[str, list[tuple[tuple[str, ...], float]]]]:
    """Of the step and of memory: name, first, second and change of every part as texts, and the change."""
    for key, head, say in (
        ("step_time_s", "step time", format_seconds),
        ("memory_bytes", "fullest rank", format_bytes),
    ):
        rows: list[tuple[tuple[str, ...], float]] = []
        for one in found[key]:
            name, change = PART_NAMES.get(one["name"], one["name"]), float(one["change"])
            said = "0" if not change else ("+" if change > 0 else "−") + say(abs(change))
            rows.append(((name, say(one["first"]), say(one["second"]), said), change))
        yield head, rows


def sentence(found: Document) -> str:
    """How much longer the second takes."""
    change, band = found["step_time_change"], found["step_time_band"]
    same = not found["asked"] and band is not None and abs(log1p(change)) <= band
    return f"The second takes {change:+.1%} time per step{'; a tie within the band' if same else ''}."


def _said(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, list):
        runs = f"{len(value)} values" if len(value) > 8 else " ".join(map(str, value))
        return runs or "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else str(value)
