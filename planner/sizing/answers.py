"""Which of the evaluated sizes answers what.

Every answer is the best of one set of points that limits do not change, so that a tighter deadline never takes fewer
GPUs and a larger budget never a slower plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import log2

from planner.frozen import frozen
from planner.questions.train import Ranked, problem, rank
from planner.search import search
from planner.sizing.ladder import between, step
from planner.sizing.limits import Limits
from planner.sizing.point import Kind, Point, Run, below, on, point, tried
from planner.training.space import plans

WORTH = 1.6
"""Speed-up per doubling of GPUs below which scaling is said to pay no longer: 80 % of what doubling could give."""


@frozen
class Nearest:
    """How near the points come when none keeps all limits: with the others kept, the least of what is broken.

    Attributes:
        quickest: least time within the budget; cheapest: least money within the deadline; least: least money at all.
    """

    quickest: Point | None = None
    cheapest: Point | None = None
    least: Point | None = None


@frozen
class Rung:
    """A point of a strong-scaling curve: `gain` is the speed-up per doubling since the point before."""

    point: Point
    gain: float | None


def keeps(p: Point, limits: Limits) -> bool:
    """Whether a point keeps every limit; one without a price keeps no budget."""
    bounds = ((p.seconds, limits.deadline), (p.cost, limits.budget))
    return all(most is None or (value is not None and value <= most) for value, most in bounds)


def fewest(each: Iterable[Point]) -> Point | None:
    """The fewest GPUs of what `fewest_of_each` found, the faster of two as few."""
    return min(each, key=lambda p: (p.gpus, -p.tokens_per_second), default=None)


def fewest_of_each(climbs: Iterable[Sequence[Point]], limits: Limits, run: Run, most: int) -> list[Point]:
    """The fewest GPUs of each kind that keep the limits: the lowest rung, refined to a node, or inside one to a GPU.

    Args:
        climbs: the points of each kind by rising size.
    """
    lowest = (next((p for p in points if keeps(p, limits)), None) for points in climbs)
    found = [p for p in lowest if p is not None]
    return [_refined(p, limits, run, max(n for n in (0, *tried(p.kind, most)) if n < p.gpus)) for p in found]


def _refined(p: Point, limits: Limits, run: Run, low: int) -> Point:
    """The smallest size above `low` that keeps the limits: of some in between the smallest, and again below that.

    A tighter limit never ends lower: as long as two limits choose alike they see the same sizes, and where they part
    the tighter one stays above what the looser one chose.
    """
    sizes = between(p.kind.job.cluster, p.kind.whole, low, p.gpus)
    if not sizes:
        return p
    found = next((q for q in below(p, run, low) if keeps(q, limits)), p)
    return _refined(found, limits, run, max(n for n in (low, *sizes) if n < found.gpus))


def cheapest(points: Iterable[Point], limits: Limits) -> Point | None:
    """The least money, the faster of two that cost the same; points without a price are left out."""
    kept = [p for p in points if keeps(p, limits) and p.cost is not None]
    return min(kept, key=lambda p: (p.cost or 0.0, p.seconds or 0.0), default=None)


def fastest(points: Iterable[Point], limits: Limits) -> Point | None:
    """The most tokens per second, the smaller of two as fast."""
    return min((p for p in points if keeps(p, limits)), key=lambda p: (-p.tokens_per_second, p.gpus), default=None)


def nearest(points: Sequence[Point], limits: Limits) -> Nearest:
    """The least time within the budget, the least money within the deadline, and the least money at all."""
    quick = fastest(points, Limits(budget=limits.budget))
    return Nearest(quick, cheapest(points, Limits(deadline=limits.deadline)), cheapest(points, Limits()))


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


def pays_until(rungs: Sequence[Rung]) -> Point | None:
    """The last point before scaling stops to pay: the first gain per doubling below WORTH ends it.

    None when every further doubling that was tried pays.
    """
    ends = (before.point for before, rung in pairwise(rungs) if rung.gain is not None and rung.gain < WORTH)
    return next(ends, None)


@frozen
class Binding:
    """Why no smaller size of the same kind will do.

    Attributes:
        gpus: of the next smaller size that was tried, 0 where none is smaller.
        what: "memory", "rules", "deadline", "budget", or "size": nothing is smaller.
        point: that size, if it runs; miss: the leanest plan there, if none fits.
    """

    gpus: int
    what: str
    point: Point | None = None
    miss: Ranked | None = None


def binding(p: Point, run: Run, limits: Limits) -> Binding:
    """What the next smaller size breaks."""
    gpus = max(0, p.gpus - step(p.kind.job.cluster, p.kind.whole, p.gpus))
    if gpus == 0:
        return Binding(0, "size")
    found = point(p.kind, gpus, run)
    if found is not None:
        late = limits.deadline is not None and (found.seconds or 0.0) > limits.deadline
        return Binding(gpus, "deadline" if late else "size" if keeps(found, limits) else "budget", found)
    miss = short(p.kind, gpus)
    return Binding(gpus, "rules" if miss is None else "memory", miss=miss)


def short(kind: Kind, gpus: int) -> Ranked | None:
    """The leanest plan on so many GPUs that does not fit; None where all fit or the rules allow none."""
    job = on(kind, gpus)
    near = search(plans(job, kind.bounds), problem(job), 1).near
    return rank(job, near[0]) if near else None


@frozen
class Sizes:
    """What is chosen from: every size that fits, and the fewest GPUs of each kind within the limits."""

    points: Sequence[Point]
    each: Sequence[Point]
    limits: Limits


@frozen
class Objective:
    """One way to choose.

    Attributes:
        words: what it asks for.
        best: the size that it chooses, None where none keeps the limits.
        priced: ranks by what the whole run costs.
        timed: the largest size unless there is an end to the run: without tokens no answer beside another.
    """

    words: str
    best: Callable[[Sizes], Point | None]
    priced: bool = False
    timed: bool = False

    def beside(self, money: bool, ends: bool) -> bool:
        """Whether it is answered where another was asked for: with prices, with tokens, where it needs them."""
        return (money or not self.priced) and (ends or not self.timed)


OBJECTIVES = {
    "fewest": Objective("fewest GPUs within the limits", lambda sizes: fewest(sizes.each)),
    "cheapest": Objective("least money within the limits", lambda s: cheapest(s.points, s.limits), priced=True),
    "fastest": Objective("least time within the limits", lambda s: fastest(s.points, s.limits), timed=True),
}
