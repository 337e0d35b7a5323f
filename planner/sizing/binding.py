"""Why no smaller size will do."""

from __future__ import annotations

from planner.frozen import frozen
from planner.questions.train import Ranked, problem, rank
from planner.search import search
from planner.sizing.answers import keeps
from planner.sizing.ladder import step
from planner.sizing.limits import Limits
from planner.sizing.point import Kind, Point, Run, on, point
from planner.training.space import plans


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
