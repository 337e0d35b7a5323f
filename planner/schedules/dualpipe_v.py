"""DualPipeV: DualPipe cut in half and folded into a V, two chunks per rank (README of deepseek-ai/DualPipe)."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import zb_v
from planner.schedules.fullest import Fullest, Ranks, ends
from planner.schedules.ops import VEE, Op, number
from planner.schedules.record import Requirement, Schedule, two_chunks
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """Eight phases; in the main one every forward is paired with a backward of the other chunk.

    Equal to PyTorch's ScheduleDualPipeV. On rank p-1 the first pair runs apart, as in the authors' code.
    """
    ahead = p - 1 - rank
    warm = ["F0"] * (2 * ahead) + ["F0", "F1"] * (rank + 1) + ["I1", "W", "F1"] * ahead
    pairs = ["F0+", "B1", "F1+", "B0"] * (m - 2 * p + rank + 1)
    if not ahead:
        pairs[0] = "F0"
    drain = ["B1", "F1+", "B0"] * ahead + (["B1", "B0"] * (rank + 1))[: rank + 1]
    split = ["I1", "I0"] * (rank + 1)
    return number(warm + pairs + drain + split[rank + 1 :] + ["W", "I0"] * ahead + ["W"] * (rank + 1))


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + (p-1)(FB + t_b - 3*t_W)/2 with FB = t_f + t_b: a pair that starts and ends as one and hides nothing.

    Exact at t_B = t_f, m >= 2p; else -2..+2.5 %. Pairs run one after the other halve the bubble at equal times, to
    (p-1)/2*t_f: the forward's result leaves before the backward is through. What pairs hide (expert traffic) is not in
    here. p = 4, m = 8, t_f = t_B = t_W = 1: 24 + 3 = 27.
    """
    return zb_v.beside_the_slowest(stages, m, (stages.p - 1.0) / 2.0 * bubble(stages))


def bubble(stages: Stages) -> Num:
    """FB + t_b - 3*t_W with FB = t_f + t_b."""
    return stages.mean("forward") + 2.0 * stages.mean("backward") - 3.0 * stages.mean("weight_gradient")


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """(2*floor((m(p-1) + 1)/p) + 2p - 4)*c at equal times: the pairs form loops without slack, as in 1F1B.

    It needs asynchronous sends, and is what a pair does not hide. p = 4, m = 8: 16 hops.
    """
    return np.where(p > 1.0, 2.0 * np.floor((m * (p - 1.0) + 1.0) / p) + 2.0 * p - 4.0, 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """(2p + 1)/2 on every rank: 2p + 1 chunks."""
    return np.minimum(m, p + 0.5) + 0.0 * rank


def fullest(p: Num, m: Num, v: Num, first: Num, last: Num) -> Ranks:
    """In flight, and `drain`."""
    return ends(lambda rank: of(p, rank).times(0.5), first, last)


def of(p: Num, rank: Num) -> Fullest:
    """Chunks: 2p + 1 whole before a full B, 2p - 1 behind an I but on the last rank, p - rank beside rank in the drain.

    p = 4, rank 2: 9; 7 and 1 that waits; 1 and 3.
    """
    most, ahead = (2.0 * p + 1.0, 0.0 * rank), np.where(rank < p - 1.0, 2.0 * p - 1.0, 0.0)[()]
    pairs = Fullest((most,), (), (most,), ((ahead, 1.0 + 0.0 * rank),))
    return pairs.beside((p - rank - 1.0, rank + 1.0))


SCHEDULE = Schedule(
    name="dualpipe-v",
    title="DualPipeV",
    source="DeepSeek-AI, github.com/deepseek-ai/DualPipe",
    formula="(p-1)(FB + t_b - 3t_W)/2",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    fullest=fullest,
    ops=ops,
    placement=VEE,
    chunks=2,
    requirements=(
        two_chunks("PyTorch ScheduleDualPipeV"),
        Requirement("enough_batches", lambda p, m, v: m >= 2 * p, "m={m}: it needs 2p or more for p={p}", "DualPipe"),
    ),
    frameworks={"PyTorch": "DualPipeV", "torchtitan": "DualPipeV", "DualPipe": "dualpipev.py"},
    band=2.5,
    uneven=7.0,
)
