"""The law of parallel degrees, and the groups in which ranks talk.

Ranks are laid out as Megatron-LM does (core/parallel_state.py): tp innermost, then cp, dp, pp. One rank belongs to two
views of the same accelerators:

    dense   pp x dp_replicate x dp_shard x cp x tp
    sparse  pp x dp_replicate x edp x ep x etp        edp = dp_shard*cp*tp / (ep*etp), a whole number
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from planner.frozen import frozen
from planner.plan import Num, Plan

Axis = Literal["tp", "cp", "shard", "replicate", "pp", "etp", "ep", "edp"]


class Members(NamedTuple):
    """One group: how many ranks, and how far apart in the rank order."""

    size: Num
    stride: Num


@frozen
class Mesh:
    """Degrees of parallelism, numbers or arrays.

    Attributes:
        dp_replicate, dp_shard: data parallel ranks that hold copies of the states, and those that ZeRO shards over
            (HSDP where both are larger than 1).
        ep, etp: experts are spread over ep ranks, and each is split over etp of them.
    """

    pp: Num = 1.0
    dp_replicate: Num = 1.0
    dp_shard: Num = 1.0
    cp: Num = 1.0
    tp: Num = 1.0
    ep: Num = 1.0
    etp: Num = 1.0

    @property
    def world(self) -> Num:
        """Accelerators."""
        return self.pp * self.dp_replicate * self.dp_shard * self.cp * self.tp

    @property
    def edp(self) -> Num:
        """Ranks that hold the same experts and shard their states: dp_shard*cp*tp / (ep*etp).

        DeepSeek-V3 on 1,024 H100, pp 8, tp 2, ep 64, etp 1: 128/64 = 2.
        """
        return self.dp_shard * self.cp * self.tp / (self.ep * self.etp)

    def group(self, axis: Axis) -> Members:
        """Size and stride of a rank's group along an axis; "shard" is dp_shard*cp ranks, over which ZeRO divides."""
        inner = self.tp * self.cp * self.dp_shard
        members: dict[Axis, tuple[Num, Num]] = {
            "tp": (self.tp, 1.0),
            "cp": (self.cp, self.tp),
            "shard": (self.dp_shard * self.cp, self.tp),
            "replicate": (self.dp_replicate, inner),
            "pp": (self.pp, inner * self.dp_replicate),
            "etp": (self.etp, 1.0),
            "ep": (self.ep, self.etp),
            "edp": (self.edp, self.etp * self.ep),
        }
        return Members(*members[axis])


def mesh(plan: Plan) -> Mesh:
    """The degrees of a plan."""
    return Mesh(plan.pp, plan.dp_replicate, plan.dp / plan.dp_replicate, plan.cp, plan.tp, plan.ep, plan.etp)
