"""Which accelerator holds what under a plan: nodes, the groups that talk, the links that they talk over."""

from __future__ import annotations

from collections.abc import Sequence

from planner.cost import collectives
from planner.frozen import frozen
from planner.mesh import mesh
from planner.plan import OnePlan
from planner.questions.ranked import Ranked
from planner.stages import rows
from planner.training.job import Job
from planner.training.moments import rank_moments
from planner.training.wire import sent_bytes

MOST = 16
"""Nodes that are told apart one by one; of more, those that hold the same are one."""

PARTS = {"tp": ("tp_comm",), "cp": ("cp_comm",), "ep": ("ep_comm",), "dp": ("dp_comm_exposed",), "pp": ("pp_comm",)}
"""Parts of a step in which the traffic of each group that nothing hides is counted."""


@frozen
class Axis:
    """Groups of one kind.

    Attributes:
        size, stride: accelerators in one, and how far apart in the order of ranks; domains: scale-up domains it spans.
        sent: bytes per accelerator and step; exposed: seconds of a step that nothing hides.
    """

    name: str
    size: int
    stride: int
    domains: int
    sent: float
    exposed: float

    def group(self, rank: int) -> int:
        """Number of a rank's group."""
        return rank // (self.stride * self.size) * self.stride + rank % self.stride

    def place(self, rank: int) -> int:
        """A rank's place in its group."""
        return rank // self.stride % self.size


@frozen
class Stage:
    """What every accelerator of a pipeline stage holds: layers, whether embedding and head; bytes when fullest.

    Attributes:
        row: the same for stages that hold the same.
    """

    number: int
    row: int
    layers: int
    first: bool
    last: bool
    peak: float


@frozen
class Box:
    """Nodes that hold the same.

    Attributes:
        nodes: their numbers; ranks: of the first; stages: of these ranks; last: the last stage of any of them.
        spans: first and last place along each axis, over all of the nodes.
    """

    nodes: tuple[int, ...]
    ranks: tuple[int, ...]
    stages: tuple[Stage, ...]
    last: int
    spans: dict[str, tuple[int, int]]


@frozen
class Placement:
    """A plan on its cluster."""

    axes: tuple[Axis, ...]
    boxes: tuple[Box, ...]


def placement(ranked: Ranked) -> Placement:
    """The plan's groups, and its nodes: each by itself up to MOST, of more one for each stage, or kind of stage."""
    job, plan = ranked.job, ranked.plan
    found = axes(ranked)
    every = _stages(job, plan)
    inner, used = plan.gpus // plan.pp, job.cluster.used
    nodes = [tuple(range(first, first + used)) for first in range(0, job.cluster.gpus, used)]
    held = [tuple(rank // inner for rank in ranks) for ranks in nodes]
    keys: list[Sequence[object]] = [range(len(nodes)), held, [tuple(every[p].row for p in one) for one in held]]
    fewest = next((key for key in keys if len(set(key)) <= MOST), keys[-1])
    together: dict[object, list[int]] = {}
    for node, key in enumerate(fewest):
        together.setdefault(key, []).append(node)
    return Placement(found, tuple(_box(found, every, nodes, held, same) for same in together.values()))


def _box(
    found: Sequence[Axis],
    every: Sequence[Stage],
    nodes: Sequence[tuple[int, ...]],
    held: Sequence[tuple[int, ...]],
    same: Sequence[int],
) -> Box:
    ranks, spans = nodes[same[0]], {}
    for axis in found:
        places = {axis.place(rank) for node in same for rank in nodes[node]}
        spans[axis.name] = (min(places), max(places))
    stages = tuple(every[p] for p in dict.fromkeys(held[same[0]]))
    return Box(tuple(same), ranks, stages, max(p for node in same for p in held[node]), spans)


def axes(ranked: Ranked) -> tuple[Axis, ...]:
    """Groups of more than one accelerator, in the order of ranks."""
    job, plan = ranked.job, ranked.plan
    view, parts, sent = mesh(plan), ranked.estimate.time.parts, sent_bytes(job, plan)
    members = {"tp": view.group("tp"), "cp": view.group("cp"), "dp": (plan.dp, plan.tp * plan.cp)}
    members |= {"ep": view.group("ep"), "pp": view.group("pp")}
    found = []
    for name, (size, stride) in members.items():
        if size > 1:
            domains = int(collectives.group(job.cluster, size, stride).domains)
            exposed = sum(float(parts[part]) for part in PARTS[name])
            found.append(Axis(name, int(size), int(stride), domains, sent.get(name, 0.0), exposed))
    return tuple(found)


def _stages(job: Job, plan: OnePlan) -> tuple[Stage, ...]:
    """Every stage by pipeline rank, with the peak of the fullest rank of those that hold the same."""
    of = job.structure
    peaks = [(float(at), max(float(one.total) for one in each.values())) for each, at in rank_moments(job, plan)]
    found = []
    for place, row in enumerate(rows(of, plan)):
        ranks = range(int(row.first), int(row.first + row.ranks))
        peak = max(peak for at, peak in peaks if int(at) in ranks)
        found += [Stage(p, place, int(row.layers(of.blocks)), p == 0, p == plan.pp - 1, peak) for p in ranks]
    return tuple(found)
