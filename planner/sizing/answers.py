"""Which of the evaluated sizes answers what.

Every answer is the best of one set of points that limits do not change, so that a tighter deadline never takes fewer
GPUs and a larger budget never a slower plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log2

from planner.sizing.limits import Limits
from planner.sizing.point import Point, Run, below

WORTH = 1.6
"""Speed-up per doubling of GPUs below which scaling is said to pay no longer: 80 % of what doubling could give."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """How near the points come when none keeps all limits: with the others kept, the least of what is broken.

    Attributes:
        quickest: least time within the budget; cheapest: least money within the deadline.
    """

    quickest: Point | None
    cheapest: Point | None


@dataclass(frozen=True, slots=True)
class Rung:
    """A point of a strong-scaling curve: `gain` is the speed-up per doubling since the point before."""

    point: Point
    gain: float | None


def keeps(p: Point, limits: Limits) -> bool:
    """Whether a point keeps every limit; one without a price keeps no budget."""
    return _in_time(p, limits) and _in_budget(p, limits)


def _in_time(p: Point, limits: Limits) -> bool:
    return limits.deadline is None or (p.seconds is not None and p.seconds <= limits.deadline)


def _in_budget(p: Point, limits: Limits) -> bool:
    return limits.budget is None or (p.cost is not None and p.cost <= limits.budget)


def fewest(points: Iterable[Point], limits: Limits, run: Run, most: int) -> Point | None:
    """The fewest GPUs that keep the limits, the faster of two as few.

    Of each kind the lowest rung is taken, and then the sizes between it and the rung below.
    """
    kept = [p for p in points if keeps(p, limits)]
    lowest = {id(p.kind): p for p in sorted(kept, key=lambda p: -p.gpus)}
    least = min((p.gpus for p in lowest.values()), default=0)
    tried = [q for p in lowest.values() if p.gpus < 2 * least for q in (*below(p, run, most), p) if keeps(q, limits)]
    return min(tried, key=_smallness, default=None)


def _smallness(p: Point) -> tuple[float, float]:
    return (p.gpus, -p.tokens_per_second)


def fewest_of_each(points: Iterable[Point], limits: Limits) -> list[Point]:
    """The lowest rung of each kind that keeps the limits, in the order of the kinds."""
    seen: dict[int, Point] = {}
    for p in points:
        if keeps(p, limits):
            seen.setdefault(id(p.kind), p)
    return list(seen.values())


def cheapest(points: Iterable[Point], limits: Limits) -> Point | None:
    """The least money, the faster of two that cost the same; points without a price are left out."""
    kept = [p for p in points if keeps(p, limits) and p.cost is not None]
    return min(kept, key=lambda p: (p.cost or 0.0, p.seconds or 0.0), default=None)


def fastest(points: Iterable[Point], limits: Limits) -> Point | None:
    """The most tokens per second, the smaller of two as fast."""
    return min((p for p in points if keeps(p, limits)), key=lambda p: (-p.tokens_per_second, p.gpus), default=None)


def nearest(points: Sequence[Point], limits: Limits) -> Nearest:
    """The least time within the budget, and the least money within the deadline."""
    quick = fastest(points, Limits(budget=limits.budget))
    return Nearest(quick, cheapest(points, Limits(deadline=limits.deadline)))


def front(points: Sequence[Point], money: bool) -> list[Point]:
    """Points that no other beats in time, GPUs and, if it counts, money; fastest first."""
    aims = [
        (-p.tokens_per_second, p.gpus, (p.cost if p.cost is not None else float("inf")) if money else 0.0)
        for p in points
    ]
    kept = [p for p, mine in zip(points, aims, strict=True) if not any(_beats(other, mine) for other in aims)]
    return sorted(kept, key=lambda p: (-p.tokens_per_second, p.gpus))


def _beats(other: tuple[float, ...], mine: tuple[float, ...]) -> bool:
    return other != mine and all(a <= b for a, b in zip(other, mine, strict=True))


def scaling(points: Sequence[Point]) -> list[Rung]:
    """The strong-scaling curve of one kind: (speed / speed before) ** (1 / log2(GPUs / GPUs before)) at each point."""
    rungs = [Rung(p, None) for p in points[:1]]
    for before, p in pairwise(points):
        rungs.append(Rung(p, (p.tokens_per_second / before.tokens_per_second) ** (1.0 / log2(p.gpus / before.gpus))))
    return rungs


def pays_until(rungs: Sequence[Rung], worth: float = WORTH) -> Point | None:
    """The last point before scaling stops to pay: the first gain per doubling below `worth` ends it.

    None when every further doubling that was tried pays.
    """
    for before, rung in pairwise(rungs):
        if rung.gain is not None and rung.gain < worth:
            return before.point
    return None
