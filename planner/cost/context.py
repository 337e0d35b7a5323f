"""The attention core over context-parallel ranks: what each way of trading keys computes, sends and hides (seconds).

Every rank holds b*s/cp tokens, two slices of each sequence so that causal work is even. Four ways of Transformer Engine
(pytorch/attention/dot_product_attention/context_parallel.py) and of PyTorch (distributed/tensor/experimental):

    p2p        keys and values go round a ring, one block behind each step of the core: Liu 2023, arXiv:2310.01889
    a2a        tokens of all heads are traded for all tokens of some heads, and back: Jacobs 2023, arXiv:2309.14509
    a2a+p2p    a2a inside a scale-up domain, a ring between domains: Fang 2024, arXiv:2405.07719
    allgather  every rank gathers all keys and values first: Dubey 2024, arXiv:2407.21783, section 3.3.2
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.blocks.operator import Core, Share
from planner.cost import collectives
from planner.cost.operators import Direction, core_time
from planner.formula import formula
from planner.frozen import frozen
from planner.mesh import Mesh
from planner.plan import Num, Truth
from planner.schema.hardware import Cluster
from planner.schema.workload import ContextKind


@frozen
class Ranks:
    """The hardware and the ranks that share one attention core.

    Attributes:
        precision, kernel: of the core. share: degrees; core: this rank's part, with s/cp rows.
    """

    cluster: Cluster
    precision: str
    kernel: str
    share: Share
    core: Core

    @property
    def keys(self) -> Num:
        """Bytes of this rank's keys and values."""
        return self.share.activation * self.core.batch * self.core.rows * self._width * self.core.kv_heads

    @property
    def queries(self) -> Num:
        """Bytes of its queries and outputs."""
        return self.share.activation * self.core.batch * self.core.rows * self._width * self.core.heads

    @property
    def _width(self) -> int:
        return self.core.qk + self.core.value

    def group(self, size: Num, stride: Num = 1.0) -> collectives.Group:
        """`size` of the cp ranks, `stride` of them apart."""
        return collectives.group(self.cluster, size, self.share.tp * stride)

    def seconds(self, direction: Direction, pieces: Num) -> Num:
        """The core, its keys in so many pieces one after the other."""
        return core_time(self.cluster.accelerator, self.precision, self.core, direction, self.kernel, pieces)


@frozen
class Shared:
    """One pass of a core over cp: time that it computes, and traffic that nothing hides."""

    core: Num
    exposed: Num

    @property
    def total(self) -> Num:
        """Both."""
        return self.core + self.exposed


def inner(ranks: Ranks) -> Num:
    """Ranks of the all-to-all inside "a2a+p2p": those of one scale-up domain, where they and their heads divide."""
    cp = ranks.share.cp
    near = collectives.members_per_domain(ranks.cluster, cp, Mesh(tp=ranks.share.tp, cp=cp).group("cp").stride)
    near = np.minimum(near, ranks.core.kv_heads)
    whole = (np.floor(cp / near) * near == cp) & (np.floor(ranks.core.kv_heads / near) * near == ranks.core.kv_heads)
    found: Num = np.where(whole, near, 1.0)[()]
    return found


def runs(kind: ContextKind, ranks: Ranks) -> Truth:
    """Whether the heads allow a kind: an all-to-all splits this rank's key/value heads over its members."""
    if kind == "a2a":
        heads, cp = ranks.core.kv_heads, ranks.share.cp
        whole: Truth = np.floor(heads / cp) * cp == heads
        return whole
    return (inner(ranks) > 1.0) if kind == "a2a+p2p" else ranks.share.cp >= 1.0


def shared(kind: ContextKind, ranks: Ranks, direction: Direction) -> Shared:
    """One pass of the core by a kind."""
    return KINDS[kind](ranks, 1.0 if direction == "forward" else 2.0, direction)


@formula("cp ring", "Liu 2023, arXiv:2310.01889", "s")
def _outlasting(sends: float, around: Num, core: Num, steps: Num) -> Num:
    """What is left of a ring's sends behind the core: its first step needs none, the others hide one each."""
    return np.maximum(sends * around - core * (steps - 1.0) / steps, 0.0)


def _p2p(ranks: Ranks, sends: float, direction: Direction) -> Shared:
    """A ring over all; backward, keys and values go round and their gradients with them."""
    cp = ranks.share.cp
    core = ranks.seconds(direction, cp)
    around = collectives.ring_pass(ranks.cluster, ranks.group(cp), ranks.keys)
    return Shared(core, _outlasting(sends, around, core, cp))


@formula("cp all-to-all", "Jacobs 2023, arXiv:2309.14509", "s")
def _traded(ranks: Ranks, size: Num) -> Num:
    """q, k, v before the core and its output behind it; backward their gradients the other way."""
    members, out = ranks.group(size), ranks.queries * (ranks.core.value / (ranks.core.qk + ranks.core.value))
    before = collectives.all_to_all(ranks.cluster, members, ranks.keys + ranks.queries - out)
    return before + collectives.all_to_all(ranks.cluster, members, out)


def _a2a(ranks: Ranks, _: float, direction: Direction) -> Shared:
    return Shared(ranks.seconds(direction, 1.0), _traded(ranks, ranks.share.cp))


def _both(ranks: Ranks, sends: float, direction: Direction) -> Shared:
    near = inner(ranks)
    far = ranks.share.cp / near
    core = ranks.seconds(direction, far)
    around = collectives.ring_pass(ranks.cluster, ranks.group(far, near), ranks.keys)
    return Shared(core, _outlasting(sends, around, core, far) + _traded(ranks, near))


def _allgather(ranks: Ranks, sends: float, direction: Direction) -> Shared:
    """Keys and values of all ranks before the core; backward gathered again, and their gradients scattered."""
    gathered = collectives.all_gather(ranks.group(ranks.share.cp), ranks.share.cp * ranks.keys)
    return Shared(ranks.seconds(direction, 1.0), sends * gathered)


KINDS: dict[ContextKind, Callable[[Ranks, float, Direction], Shared]] = {
    "p2p": _p2p,
    "a2a": _a2a,
    "a2a+p2p": _both,
    "allgather": _allgather,
}


def passes(kind: ContextKind, ranks: Ranks) -> tuple[Shared, Shared]:
    """Forward and backward pass by a kind."""
    return shared(kind, ranks, "forward"), shared(kind, ranks, "backward")


def fastest(kinds: tuple[ContextKind, ...], ranks: Ranks) -> tuple[Shared, Shared]:
    """Forward and backward pass of the kind that takes least, plan by plan, among those that the heads allow."""
    first, *rest = kinds
    forward, backward = passes(first, ranks)
    for kind in rest:
        there, back = passes(kind, ranks)
        better = runs(kind, ranks) & (there.total + back.total < forward.total + backward.total)
        forward, backward = _chosen(better, there, forward), _chosen(better, back, backward)
    return forward, backward


def _chosen(mask: Truth, one: Shared, other: Shared) -> Shared:
    return Shared(np.where(mask, one.core, other.core)[()], np.where(mask, one.exposed, other.exposed)[()])
