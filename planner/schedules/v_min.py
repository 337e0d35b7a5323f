"""V-Min (Qi et al. 2024, arXiv:2405.15362): a third of 1F1B's activations."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import v_half, zb_v
from planner.schedules.building_block import repeated
from planner.schedules.ops import VEE, Op
from planner.schedules.record import Schedule, two_chunks
from planner.schedules.stages import Stages

exposed_p2p = zb_v.exposed_p2p
"""That of ZB-V: not checked against a replay."""


def block(rank: int, p: int) -> tuple[int, int, int, int]:
    """Down the V, up, down and up again in steps of one slot; two slots of rest where 3 divides p."""
    rest = 2 if p % 3 == 0 else 0
    return rank, 2 * p - 1 - rank, 2 * p + rest + rank, 4 * p + rest - 1 - rank


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """The block repeated every six slots. p = 8: four micro-batches held where 1F1B's rank 0 holds 8."""
    return list(repeated(block, p, m)[rank])


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + (4p - 5)/2 * T/3, or (4p - 6)/2 * T/3 where 3 divides p: T/3 stands for t_f = t_B = t_W, m >= 3p.

    The published scheduler saves half a slot more where 3 divides p. p = 4, m = 12, equal times 1: 41.5.
    """
    total = stages.largest("total")
    slots = (4.0 * stages.p - np.where(stages.p % 3.0 == 0.0, 6.0, 5.0)) / 2.0
    return m * v_half.period(stages, 3.0) + np.maximum(slots, 0.0) * (total / 3.0)


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """floor((p + 4)/3) on every rank: 4 at p = 8."""
    return np.minimum(m, np.floor((p + 4.0) / 3.0)) + 0.0 * rank


SCHEDULE = Schedule(
    name="v-min",
    title="V-Min",
    source="Qi 2024, arXiv:2405.15362",
    formula="(4p-5)/2 t_f, 3 | p: (4p-6)/2 t_f (equal times only)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    waiting=zb_v.waiting,
    ops=ops,
    placement=VEE,
    chunks=2,
    requirements=(two_chunks("zero-bubble-pipeline-parallelism"),),
    frameworks={"zero-bubble-pipeline-parallelism": "--zero-bubble-v-schedule-mem-setup min"},
    band=30.0,
)
