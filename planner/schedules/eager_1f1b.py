"""Eager 1F1B: twice as many warm-up forwards as 1F1B, so that asynchronous sends hide behind the extra ones."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import one_f_one_b
from planner.schedules.ops import Op, one_by_one
from planner.schedules.record import Schedule, one_chunk
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """2(p-1-rank) forwards, then forward and backward in turn, then the backwards that remain."""
    return one_by_one([Op("F", i, 0) for i in range(m)], [Op("B", i, 0) for i in range(m)], 2 * (p - 1 - rank))


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """As 1F1B, (m + p - 1)(t_f + t_b) for even stages; beside uneven ones it is never slower than 1F1B.

    p = 4, m = 8, t_f = t_b = 1: 22.
    """
    return one_f_one_b.pipeline_time(stages, m, v)


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """Asynchronous: 2*(p-1)*c, fill and drain only, for 2*c <= t_f + t_b.

    Blocking sends defeat it: ranks meet for every tensor, and the extra forwards wait for that (the replay shows whole
    passes of idle time), so there is no formula and the asynchronous one stands. p = 4: 6 hops; 1F1B pays 16 at m = 8.
    """
    return 2.0 * (p - 1.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """min(m, 2*(p-1-rank) + 1): rank 0 holds 2p - 1, the last rank 1."""
    return np.minimum(m, 2.0 * (p - 1.0 - rank) + 1.0)


SCHEDULE = Schedule(
    name="eager-1f1b",
    title="eager 1F1B",
    source="Zhuang et al. 2022, AlpaComm, arXiv:2211.05322",
    formula="(p-1)(t_f + t_b)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    requirements=(one_chunk(),),
    frameworks={"Alpa": "1f1b_overlap_friendly"},
    uneven=12.0,
)
