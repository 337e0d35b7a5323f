"""ZB-H2 (Qi et al. 2024, arXiv:2401.10241, section 2.3): forwards fill the warm-up too, for twice the activations."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import eager_1f1b, zb_h1
from planner.schedules.fullest import Fullest, Ranks, ends, peaks
from planner.schedules.ops import Op, split_backwards
from planner.schedules.record import Requirement, Schedule, one_chunk
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """The order of eager 1F1B with B split into I and W, W 2*rank micro-batches late."""
    return split_backwards(eager_1f1b.ops(rank, p, m, v), 2 * rank)


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + (p-1) * max(t_f, t_f + t_B - 2*t_W), T = t_f + t_B + t_W: all ranks wait for the last before the update.

    Exact for even stages, m >= 2p - 1 and t_W <= t_f. p = 4, m = 8, t_f = t_B = t_W = 1: 27,
    the same as ZB-H1: what the schedule gains needs an update without a barrier, see longest_stage.
    """
    return zb_h1.delayed(stages, m, 2.0)


def longest_stage(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + (p-1)(t_f + t_B - 2*t_W): ranks start the next step as parallelograms, the update validated afterwards.

    Exact for even stages, m >= 2p - 1 and t_W <= min(t_f, t_B); else up to 3 % low. p = 4, m = 8, equal times: 24,
    no bubble.
    """
    return m * stages.largest("total") + (stages.p - 1.0) * _split(stages)


def _split(stages: Stages) -> Num:
    return stages.largest("forward") + stages.largest("input_gradient") - 2.0 * stages.largest("weight_gradient")


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """2*(p-1)*c on the longest stage; on the makespan between (p-1)*c and that, (p-1)*c for equal times.

    It needs asynchronous sends. p = 4: 6 hops.
    """
    return 2.0 * (p - 1.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """2p - 1 until W, on every rank, of which some hold what W needs only."""
    return np.minimum(m, 2.0 * p - 1.0) + 0.0 * rank


def fullest(p: Num, m: Num, v: Num, first: Num, last: Num) -> Ranks:
    """2*rank wait: (2(p - rank) - 1)*M_B + 2*rank*M_W. p = 4, rank 2: 3 and 4."""

    def of(rank: Num) -> Fullest:
        whole = np.minimum(m, 2.0 * (p - rank) - 1.0)
        return peaks((whole, in_flight(p, m, v, rank) - whole))

    return ends(of, first, last)


SCHEDULE = Schedule(
    name="zb-h2",
    title="ZB-H2",
    source="Qi 2024, arXiv:2401.10241, 2.3",
    formula="(p-1) max(t_f, t_f + t_B - 2t_W)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    fullest=fullest,
    longest_stage=longest_stage,
    requirements=(
        one_chunk(),
        Requirement(
            "enough_batches", lambda p, m, v: m >= 2 * p - 1, "m={m}: its warm-up takes 2p - 1 for p={p}", "2401.10241"
        ),
    ),
    aliases=("zb-2p",),
    frameworks={"zero-bubble-pipeline-parallelism": "--enable-zero-bubble --enable-optimizer-post-validation"},
    uneven=2.0,
)
