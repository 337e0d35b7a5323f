"""One cluster size and what the best plan does on it."""

from __future__ import annotations

from dataclasses import replace

from planner.frozen import frozen
from planner.questions.pins import whole
from planner.questions.train import Ranked, best
from planner.schema.hardware import Node
from planner.sizing.failures import Failures
from planner.sizing.ladder import between, multiples, rungs, sized
from planner.sizing.money import Bill, bill
from planner.training.defaults import usual_batch
from planner.training.job import Job
from planner.training.space import Bounds

HOUR = 3600.0


@frozen
class Kind:
    """One sort of GPU that is acceptable.

    Attributes:
        name: as typed; job: on a cluster of it, of any size; whole: only whole nodes are to be had.
        batch: whether the user gave the global batch; without it every size has the default of `recommend`.
        types: node profiles that hold this accelerator; price: the user's, in US dollars per accelerator and hour.
    """

    name: str
    job: Job
    bounds: Bounds
    whole: bool
    batch: bool
    types: tuple[Node, ...] = ()
    price: float | None = None


@frozen
class Run:
    """What is to be trained: a number of tokens, or None when only the size is asked; and how nodes fail."""

    tokens: float | None = None
    failures: Failures | None = None


@frozen
class Point:
    """A cluster size on which something fits.

    Attributes:
        share: of the time in which training goes ahead; spares: nodes kept in reserve, not paid for.
        seconds: wall-clock time of all tokens; None without a number of tokens.
    """

    kind: Kind
    ranked: Ranked
    share: float
    spares: int
    seconds: float | None
    bill: Bill | None

    @property
    def gpus(self) -> int:
        """Accelerators."""
        return self.ranked.job.cluster.gpus

    @property
    def nodes(self) -> int:
        """Nodes."""
        return self.ranked.job.cluster.nodes

    @property
    def tokens_per_second(self) -> float:
        """Of the whole cluster, failures included."""
        return self.ranked.tokens_per_second * self.share

    @property
    def gpu_hours(self) -> float | None:
        """GPUs * hours."""
        return None if self.seconds is None else self.gpus * self.seconds / HOUR

    @property
    def cost(self) -> float | None:
        """US dollars of the whole run: hours * price of the cluster per hour."""
        if self.seconds is None or self.bill is None:
            return None
        return self.seconds / HOUR * self.bill.usd_per_hour


def on(kind: Kind, gpus: int) -> Job:
    """The job on so many accelerators."""
    cluster, w = sized(kind.job.cluster, gpus), kind.job.workload
    batch = w.global_batch if kind.batch else usual_batch(w.seq, gpus, kind.job.tuned)
    return replace(kind.job, cluster=cluster, workload=w.model_copy(update={"global_batch": batch}))


def point(kind: Kind, gpus: int, run: Run) -> Point | None:
    """The best plan on so many accelerators; None when the rules allow none or none fits."""
    ranked = best(on(kind, gpus), kind.bounds)
    if ranked is None:
        return None
    nodes, own = ranked.job.cluster.nodes, run.failures
    share = 1.0 if own is None else own.effective(nodes)
    return Point(
        kind,
        ranked,
        share,
        0 if own is None else own.spares(nodes),
        None if run.tokens is None else training_time(run.tokens, ranked.tokens_per_second, share),
        bill(gpus, nodes, kind.price, kind.types),
    )


def training_time(tokens: float, tokens_per_second: float, share: float = 1.0) -> float:
    """Seconds: tokens / (tokens per second * share of the time in which training goes ahead)."""
    return tokens / (tokens_per_second * share)


def tried(kind: Kind, most: int) -> tuple[int, ...]:
    """The ladder, and multiples of the degrees that are pinned."""
    base, pinned = kind.job.cluster, whole(kind.bounds)
    sizes = rungs(base, kind.whole, most)
    return sizes if pinned == 1 else tuple(sorted({*sizes, *multiples(base, kind.whole, most, pinned)}))


def climb(kind: Kind, run: Run, most: int) -> list[Point]:
    """The points on all rungs of the ladder on which something fits, by rising size."""
    found = (point(kind, gpus, run) for gpus in tried(kind, most))
    return [p for p in found if p is not None]


def below(p: Point, run: Run, low: int) -> list[Point]:
    """The points on sizes between `low` and that of `p`, by rising size: some of them, where there are many."""
    found = (point(p.kind, gpus, run) for gpus in between(p.kind.job.cluster, p.kind.whole, low, p.gpus))
    return [q for q in found if q is not None]
