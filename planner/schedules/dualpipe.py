"""DualPipe (DeepSeek-AI 2024, arXiv:2412.19437, section 3.2.1): two pipelines in opposite directions.

Every rank holds two stages, so that all weights exist twice; forwards and backwards of opposite directions are paired.
"""

from __future__ import annotations

import numpy as np

from planner.plan import Num, Truth
from planner.schedules import dualpipe_v, zb_v
from planner.schedules.fullest import Fullest, Ranks, ends
from planner.schedules.ops import BOTH_WAYS, Op
from planner.schedules.record import Requirement, Schedule, two_chunks
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """The order of DualPipeV on p/2 ranks with m/2 micro-batches, the two ends of the pipeline mirrored.

    Chunk 0 takes micro-batches 0..m/2-1, which enter at rank 0, chunk 1 the others, which enter at rank p-1.
    """
    half, mirrored = m // 2, rank >= p // 2
    order = dualpipe_v.ops(min(rank, p - 1 - rank), p // 2, half, 2)
    chunks = [op.chunk ^ mirrored for op in order]
    return [op._replace(micro_batch=op.micro_batch + half * c, chunk=c) for op, c in zip(order, chunks, strict=True)]


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + (p/2-1)(FB + t_b - 3*t_W) with FB = t_f + t_b: a pair that starts and ends as one and hides nothing.

    Exact at t_B = t_f, even p, m >= 2p; else -2..+2.5 %. At equal times the bubble is (p-2)*t_f for any m, beside
    ZB-H1's (p-1)*t_f; pairs run one after the other halve it to (p/2-1)*t_f, since the forward's result leaves before
    the backward is through. What pairs hide (expert traffic) is not in here. p = 4, m = 8, equal times 1: 24 + 2 = 26.
    """
    bubble = np.maximum(stages.p / 2.0 - 1.0, 0.0) * dualpipe_v.bubble(stages)
    return zb_v.beside_the_slowest(stages, m, bubble)


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """(floor((m(p-1) + 2)/p) + 3p/2 - 3)*c at equal times; it needs asynchronous sends. p = 4, m = 8: 9 hops."""
    return np.where(p > 1.0, np.floor((m * (p - 1.0) + 2.0) / p) + 1.5 * p - 3.0, 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """p + 1 on every rank, both directions together."""
    return np.minimum(m, p + 1.0) + 0.0 * rank


def fullest(p: Num, m: Num, v: Num, first: Num, last: Num) -> Ranks:
    """DualPipeV's of p/2 ranks, mirrored: the middle of the pipeline drains last."""

    def of(rank: Num) -> Fullest:
        return dualpipe_v.of(p / 2.0, np.minimum(rank, p - 1.0 - rank))

    middle = np.minimum(np.maximum(p / 2.0 - 1.0, first), last)
    return (*ends(of, first, last), (middle, of(middle)))


def weight_versions(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """Two stages per rank, that is two copies of the model; they hold the same weights."""
    return 2.0 + 0.0 * rank


def _even(p: Num, m: Num, v: Num) -> Truth:
    return (p % 2 == 0) & (m % 2 == 0)


SCHEDULE = Schedule(
    name="dualpipe",
    title="DualPipe",
    source="DeepSeek-V3, arXiv:2412.19437, 3.2.1",
    formula="(p/2-1)(FB + t_b - 3t_W)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    fullest=fullest,
    ops=ops,
    placement=BOTH_WAYS,
    chunks=2,
    weight_versions=weight_versions,
    requirements=(
        two_chunks("DualPipe dualpipe.py"),
        Requirement("even_counts", _even, "p={p}, m={m}: both must be even", "DualPipe dualpipe.py"),
        Requirement("enough_batches", lambda p, m, v: m >= 2 * p, "m={m}: it needs 2p or more for p={p}", "DualPipe"),
    ),
    frameworks={"DualPipe": "dualpipe.py"},
    band=2.5,
    uneven=7.0,
)
