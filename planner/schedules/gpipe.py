"""GPipe (Huang et al. 2018, arXiv:1811.06965): all forwards, then all backwards."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.ops import Op
from planner.schedules.record import Schedule, one_chunk
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """F1..Fm, then B1..Bm, on every rank (the paper draws the backwards in reverse order: the times are the same)."""
    return [Op(kind, i, 0) for kind in "FB" for i in range(m)]


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """sum t_f + (m-1) * max t_f + sum t_b + (m-1) * max t_b, exact for uneven stages; (m + p - 1)(t_f + t_b) if even.

    p = 4, m = 8, t_f = t_b = 1: 11 * 2 = 22, of which 6 idle: bubble fraction 3/11 = 27.3 % (GPipe section 2.3).
    """
    rest = (m - 1.0) * (stages.largest("forward") + stages.largest("backward"))
    return stages.sum("total") + rest


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """Asynchronous sends show in fill and drain only: 2*(p-1)*c; blocking ones (4*m + 2*p - 6)*c, 2*m*c for p = 2."""
    if blocking:
        count = np.where(p > 2.0, np.maximum(4.0 * m + 2.0 * p - 6.0, 2.0 * (p - 1.0)), 2.0 * m)
        return np.where(p > 1.0, count, 0.0) * hop
    return 2.0 * (p - 1.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """Every rank holds all m micro-batches when the backwards begin."""
    return m + 0.0 * rank


SCHEDULE = Schedule(
    name="gpipe",
    title="GPipe",
    source="GPipe, arXiv:1811.06965, 2.3",
    formula="(p-1)(t_f + t_b)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    may_block=True,
    requirements=(one_chunk(),),
    frameworks={"PyTorch": "GPipe", "torchtitan": "GPipe"},
    aliases=("afab",),
)
