"""ZB-V (Qi et al. 2024, arXiv:2401.10241): two chunks per rank in a V, memory of 1F1B, no bubble at equal times."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.fullest import Fullest, Ranks, ends, peaks
from planner.schedules.ops import VEE, Op, number
from planner.schedules.record import Schedule, two_chunks
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """Warm-up down the V and up again, a steady state of F I W on both chunks in turn, a drain with W in the gaps.

    Built for at least 2p - 1 micro-batches, those beyond m left out. Equal to PyTorch's ScheduleZBVZeroBubble.
    """
    n, ahead = max(m, 2 * p - 1), p - 1 - rank
    warm = ["F0"] * (2 * ahead + 1) + ["F1", "F0"] * rank + ["F1", "I1", "W1"] * (ahead + 1)
    steady = ["F0", "I0", "W0", "F1", "I1", "W1"] * (n - p - ahead) + ["I0", "W0", "F1", "I1", "W1"] * ahead
    drain = ["I0", "I1"] * rank + ["I0", "W0"] * (ahead + 1) + ["W1"] * rank + ["W0"] * rank
    return [op for op in number(warm + steady + drain) if op.micro_batch < m]


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + max(longest-stage bubble, (p-1) * t_f/2): all ranks wait for the last before the update.

    Exact at t_f = t_B = t_W and at t_W = t_B/2 = t_f/2, else up to 3.5 % low, m >= 2p - 1. p = 4, m = 8, equal times 1:
    25.5.
    """
    barrier = (stages.p - 1.0) * stages.mean("forward") / 2.0
    return beside_the_slowest(stages, m, np.maximum(_bubble(stages), barrier))


def longest_stage(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + (p-1)(t_f + t_B - 2*t_W)/2 + (p/2-1)*|t_B - t_f|, up to 3 % low.

    p = 4, m = 8, equal times: 24, no bubble.
    """
    return beside_the_slowest(stages, m, np.maximum(_bubble(stages), 0.0))


def beside_the_slowest(stages: Stages, m: Num, bubble: Num) -> Num:
    """max(m * mean T + bubble, m * largest T + bubble/2): the slowest rank waits less than others, about half as long.

    Between none of the bubble, where it is the first rank, and all of it in replays of uneven stages.
    """
    return np.maximum(m * stages.mean("total") + bubble, m * stages.largest("total") + bubble / 2.0)


def _bubble(stages: Stages) -> Num:
    f, b, w = (stages.mean(of) for of in ("forward", "input_gradient", "weight_gradient"))
    inner: Num = np.maximum(stages.p / 2.0 - 1.0, 0.0)
    return (stages.p - 1.0) * (f + b - 2.0 * w) / 2.0 + inner * np.maximum(b - f, f - b)


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """(5p - 7)*c: exact at equal times with m >= 2p - 1, where the longest stage takes 6p - 8 hops; else within p - 1.

    The turn of the V is no hop. It needs asynchronous sends. p = 4: 13 hops.
    """
    return np.where(p > 1.0, 5.0 * p - 7.0, 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """p on every rank, as 1F1B's rank 0 but balanced: [min(m, 2p-1-rank) + min(m, rank+1)]/2, less for few batches."""
    return _chunks(p, m, rank) / 2.0


def _chunks(p: Num, m: Num, rank: Num) -> Num:
    return np.minimum(m, 2.0 * p - 1.0 - rank) + np.minimum(m, rank + 1.0)


def fullest(p: Num, m: Num, v: Num, first: Num, last: Num) -> Ranks:
    """In flight while W follows I at once; the drain begins with 2*rank chunks that wait for W beside p - rank whole.

    Fewer where micro-batches of its 2p - 1 are missing. p = 4, rank 3: 8 chunks whole, later 1 whole and 6 that wait.
    """

    def of(rank: Num) -> Fullest:
        missing = np.maximum(2.0 * p - 1.0 - m, 0.0)
        waits = np.minimum(np.maximum(p - missing, 0.0), rank) + np.maximum(rank - missing, 0.0)
        whole = np.maximum(p - missing - rank, 0.0)
        drained, also = np.maximum(whole - 1.0, 0.0), np.minimum(whole, 1.0)
        return peaks((_chunks(p, m, rank), 0.0 * rank)).beside((drained, waits + also)).times(0.5)

    return ends(of, first, last)


SCHEDULE = Schedule(
    name="zb-v",
    title="ZB-V",
    source="Qi 2024, arXiv:2401.10241, 6",
    formula="(p-1)t_f/2 with a barrier, 0 without (equal times)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    fullest=fullest,
    ops=ops,
    longest_stage=longest_stage,
    placement=VEE,
    chunks=2,
    requirements=(two_chunks("PyTorch ScheduleZBVZeroBubble"),),
    frameworks={
        "PyTorch": "ZBVZeroBubble",
        "torchtitan": "ZBVZeroBubble",
        "ColossalAI pipeline.schedule": "ZeroBubbleVPipeScheduler",
        "zero-bubble-pipeline-parallelism": "--zero-bubble-v-schedule",
    },
    band=3.5,
    uneven=5.5,
)
