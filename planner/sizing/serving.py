"""From a load and its service levels to a deployment: which of several GPUs, and the fewest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from planner.frozen import frozen
from planner.questions.serve import ServeQuestion
from planner.schema.hardware import Cluster, Node
from planner.serving.choose import Rejected, choose
from planner.serving.job import ServeJob
from planner.serving.options import Option
from planner.sizing.ladder import joined, sized
from planner.sizing.money import Bill, bill


@frozen
class ServeKind:
    """One sort of GPU that is acceptable; the attributes are those of `planner.sizing.point.Kind`."""

    name: str
    question: ServeQuestion
    whole: bool
    types: tuple[Node, ...] = ()
    price: float | None = None


@frozen
class Served:
    """The smallest deployment on one sort of GPU, or what its layouts break.

    Attributes:
        option: None when nothing up to the largest size carries the load; gpus, nodes: that are paid for.
        rejected: the nearest layouts that fail on the largest size.
    """

    kind: ServeKind
    option: Option | None
    gpus: int
    nodes: int
    bill: Bill | None
    rejected: tuple[Rejected, ...]

    @property
    def tokens_per_second(self) -> float:
        """Output tokens of the whole deployment."""
        return 0.0 if self.option is None else float(self.option.served.requests) * self.output

    @property
    def output(self) -> int:
        """Output tokens per request."""
        return self.kind.question.job.workload.output

    @property
    def usd_per_million(self) -> float | None:
        """US dollars per million output tokens: price per hour / (tokens per second * 3600) * 10^6."""
        if self.bill is None or not self.tokens_per_second:
            return None
        return self.bill.usd_per_hour / (self.tokens_per_second * 3600.0) * 1e6


def served(kind: ServeKind, most: int) -> Served:
    """The fewest GPUs that carry the load: one node, then twice as many until some layout does.

    Replicas stand side by side, so that a layout may leave accelerators of the last node idle; only used ones count,
    except of an instance type, which is had whole.
    """
    rejected: tuple[Rejected, ...] = ()
    tried = _sizes(kind.question.job.cluster, most)
    for gpus in tried:
        found = choose(_on(kind, gpus), kind.question.bounds, "fewest", kind.question.together)
        if found.ranked:
            return _paid(kind, found.ranked[0])
        rejected = found.rejected[:3]
    return Served(kind, None, tried[-1], -(-tried[-1] // kind.question.job.cluster.node.count), None, rejected)


def _sizes(base: Cluster, most: int) -> list[int]:
    """One node, 2, 4, 8 ... and what `most` allows; part of a node where it allows no whole one."""
    count = base.node.count
    if most <= count or not joined(base):
        return [min(most, count)]
    nodes = most // count
    return [n * count for n in sorted({*(2**i for i in range(nodes.bit_length())), nodes})]


def _on(kind: ServeKind, gpus: int) -> ServeJob:
    return replace(kind.question.job, cluster=sized(kind.question.job.cluster, gpus))


def _paid(kind: ServeKind, option: Option) -> Served:
    count, used = kind.question.job.cluster.node.count, int(option.gpus)
    nodes = -(-used // count)
    machines = nodes * count if kind.whole or nodes > 1 else used
    counted = machines if kind.whole else used
    paid = bill(counted, nodes, kind.price, ()) or bill(machines, nodes, None, kind.types)
    return Served(kind, option, counted, nodes, paid, ())


def fewest_served(found: Sequence[Served]) -> Served | None:
    """The fewest GPUs; the faster of two as few."""
    able = [s for s in found if s.option is not None]
    return min(able, key=lambda s: (s.gpus, -s.tokens_per_second), default=None)


def cheapest_served(found: Sequence[Served]) -> Served | None:
    """The least money per hour; what has no price is left out."""
    able = [s for s in found if s.option is not None and s.bill is not None]
    return min(able, key=lambda s: (s.bill.usd_per_hour if s.bill else 0.0, s.gpus), default=None)
