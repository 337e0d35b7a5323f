"""ZB-H1 (Qi et al. 2024, arXiv:2401.10241, section 2.3): 1F1B whose weight gradients wait and fill the drain."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import one_f_one_b
from planner.schedules.ops import Op, split_backwards
from planner.schedules.record import Requirement, Schedule, one_chunk
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """The order of 1F1B with B split into I and W, W `rank` micro-batches late.

    p = 4, rank 2: F1 F2 I1 F3 I2 F4 I3 W1 F5 I4 W2 ...
    """
    return split_backwards(one_f_one_b.ops(rank, p, m, v), rank)


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """(m + p - 1)(t_f + t_B) + max(m - p + 1, 1) * t_W: bubble (p-1)(t_f + t_B - t_W) for m >= p.

    t_B and t_W are the two halves of t_b. Exact for even stages with t_W <= min(t_f, t_B), else up to 3 % low (t_W up
    to 1.1 t_f); uneven stages count as the longest. p = 4, m = 8, t_f = t_B = t_W = 1: 27 where 1F1B takes 33.
    """
    passes = stages.largest("forward") + stages.largest("input_gradient")
    alone = np.maximum(m - stages.p + 1.0, 1.0) * stages.largest("weight_gradient")
    return (m + stages.p - 1.0) * passes + alone


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """2*(p-1)*c + 2*c*min(max(m-2, 0), p-1): 4*(p-1)*c for m > p, the weight gradients hide the rest.

    Exact for t_W <= min(t_f, t_B) and hops that are short against them; it needs asynchronous sends. p = 4, m = 8: 12.
    """
    return 2.0 * (p - 1.0 + np.minimum(np.maximum(m - 2.0, 0.0), p - 1.0)) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """min(m, p) until W, on every rank, of which `waiting` hold what W needs only: p*M_B at most, as 1F1B's rank 0."""
    return np.minimum(m, p) + 0.0 * rank


def waiting(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """min(m, p) - min(m, p - rank): activations are (p - rank)*M_B + rank*M_W."""
    return np.minimum(m, p) - np.minimum(m, p - rank)


SCHEDULE = Schedule(
    name="zb-h1",
    title="ZB-H1",
    source="Qi 2024, arXiv:2401.10241, 2.3",
    formula="(p-1)(t_f + t_B - t_W)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    waiting=waiting,
    requirements=(one_chunk(),),
    frameworks={
        "zero-bubble-pipeline-parallelism": "--enable-zero-bubble --zero-bubble-max-pending-backward",
        "PyTorch": "InterleavedZeroBubble",
    },
    demands={
        "PyTorch": Requirement(
            "whole_rounds",
            lambda p, m, v: m % np.maximum(1, m // p) == 0,
            "m={m} does not fall into whole rounds of about p={p} micro-batches",
            "PyTorch torch/distributed/pipelining/schedules.py",
        )
    },
    aliases=("zb-1p",),
    band=3.0,
)
