"""ZB-H1 (Qi et al. 2024, arXiv:2401.10241, section 2.3): 1F1B whose weight gradients wait and fill the drain."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import one_f_one_b
from planner.schedules.fullest import Fullest, Ranks, ends, peaks
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
    to 1.1 t_f). p = 4, m = 8, t_f = t_B = t_W = 1: 27 where 1F1B takes 33.
    """
    return delayed(stages, m, 1.0)


def delayed(stages: Stages, m: Num, ahead: Num) -> Num:
    """Makespan where rank s starts ahead*(p-1-s) forwards early and runs its weight gradients ahead*s late.

    max over s of sum_{j<s} t_f,j + m*(t_f + t_B) + (m - late)*t_W + max(sum_{j<s} t_B,j + t_W,0, late*t_W)
    + max(0, D_s - n*t_f) + max(0, D_s - n*t_b), late = min(m, ahead*s + 1), n = ahead*(p-1-s), D_s the sum of
    t_f + t_B over the ranks behind s: the bound that each rank sets as in 1F1B. It is convex in s among equal ranks,
    so that the ends of each run are enough. m < p: sum of t_f + t_B, m - 1 times its maximum, one t_W at most.
    """
    passes, weight = stages.sum("forward") + stages.sum("input_gradient"), stages.runs[0].work.weight_gradient
    forward: Num = 0.0
    gradient: Num = 0.0
    longest: Num = 0.0
    slowest: Num = 0.0
    for run in stages.runs:
        f, b, w = run.work.forward, run.work.input_gradient, run.work.weight_gradient
        for more in (0.0 * run.ranks, np.maximum(run.ranks - 1.0, 0.0)):
            s, before, back = run.first + more, forward + more * f, gradient + more * b
            behind = np.maximum(passes - before - back - f - b, 0.0)
            late, n = np.minimum(m, ahead * s + 1.0), np.minimum(m, ahead * (stages.p - 1.0 - s))
            waits = np.maximum(behind - n * f, 0.0) + np.maximum(behind - n * (b + w), 0.0)
            tail = np.maximum(back + weight, late * w)
            here = before + m * (f + b) + (m - late) * w + tail + waits
            longest = np.maximum(longest, np.where(run.ranks > 0.0, here, 0.0))
        slowest = np.maximum(slowest, np.where(run.ranks > 0.0, f + b, 0.0))
        forward, gradient = forward + run.ranks * f, gradient + run.ranks * b
    few = passes + (m - 1.0) * slowest + stages.largest("weight_gradient")
    return np.where(m < stages.p, np.minimum(longest, few), longest)[()]


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """2*(p-1)*c + 2*c*min(max(m-2, 0), p-1): 4*(p-1)*c for m > p, the weight gradients hide the rest.

    Exact for t_W <= min(t_f, t_B) and hops that are short against them; it needs asynchronous sends. p = 4, m = 8: 12.
    """
    shown: Num = np.minimum(np.maximum(m - 2.0, 0.0), p - 1.0)
    return 2.0 * (p - 1.0 + shown) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """min(m, p) until W, on every rank, of which some hold what W needs only: p*M_B at most, as 1F1B's rank 0."""
    return np.minimum(m, p) + 0.0 * rank


def fullest(p: Num, m: Num, v: Num, first: Num, last: Num) -> Ranks:
    """min(m, p - rank) whole, the others of min(m, p) wait: (p - rank)*M_B + rank*M_W; then as many as rank + 1.

    p = 4, m >= 4, rank 2: 2 and 2, then 1 and 3.
    """

    def of(rank: Num) -> Fullest:
        whole, most, waits = np.minimum(m, p - rank), np.minimum(m, p), np.minimum(m, rank + 1.0)
        return peaks((whole, most - whole)).beside((most - waits, waits))

    return ends(of, first, last)


SCHEDULE = Schedule(
    name="zb-h1",
    title="ZB-H1",
    source="Qi 2024, arXiv:2401.10241, 2.3",
    formula="(p-1)(t_f + t_B - t_W)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    fullest=fullest,
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
    uneven=3.0,
)
