"""Breadth-first pipeline (Lamy-Poirier 2022, arXiv:2211.05953): all micro-batches through a chunk before the next."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.ops import Op
from planner.schedules.record import Schedule
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """F1..Fm of chunk 0, of chunk 1 ...; backwards in exactly the reverse order, last micro-batch first."""
    forwards = [Op("F", i, c) for c in range(v) for i in range(m)]
    return forwards + [op._replace(kind="B") for op in reversed(forwards)]


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """Two sweeps, forwards and backwards, each [(v-1) * max(m * max t, sum t) + sum t + (m-1) * max t] / v.

    Exact for uneven stages. Even stages with m >= p: m*t + (p-1)*t/v. p = 4, m = 8, v = 2, t_f = t_b = 1: 16 + 3 = 19.
    """
    return sum(_sweep(stages, m, v, passes) for passes in ("forward", "backward"))


def _sweep(stages: Stages, m: Num, v: Num, passes: str) -> Num:
    once, longest = stages.sum(passes), stages.largest(passes)
    return ((v - 1.0) * np.maximum(m * longest, once) + once + (m - 1.0) * longest) / v


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """2*(p-1)*c in fill and drain for m > p, if (m-p) * min(t_f, t_b)/v >= p*c; 2*(p*v - 1)*c for m <= p.

    It needs asynchronous sends. p = 4, m = 8: 6 hops.
    """
    return 2.0 * (np.where(m > p, p, p * v) - 1.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """All m, on every rank, as GPipe."""
    return m + 0.0 * rank


SCHEDULE = Schedule(
    name="breadth-first",
    title="breadth-first (looped GPipe)",
    source="Lamy-Poirier 2022, arXiv:2211.05953",
    formula="(p-1)(t_f + t_b)/v",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    chunks=0,
    frameworks={"PyTorch": "LoopedBFS", "torchtitan": "LoopedBFS"},
)
