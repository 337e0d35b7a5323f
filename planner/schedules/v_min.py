"""V-Min (Qi et al. 2024, arXiv:2405.15362): a third of 1F1B's activations."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import building_block, zb_v
from planner.schedules.building_block import repeated
from planner.schedules.fullest import Ranks
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
    """m*P + (4p - 5)/2 * T/3, or (4p - 6)/2 * T/3 where 3 divides p; P = max(T, 3*max(t_f, t_B)).

    Times are means over ranks but for the T of P, the longest. Passes follow each other without a gap, so that the
    longer kind sets the pace of all (2.5 of them on two ranks, up to 11 % low there). The published scheduler saves
    half a slot more where 3 divides p. Exact at equal times and m >= 3p. p = 4, m = 12, equal times 1: 41.5.
    """
    longer = np.maximum(stages.mean("forward"), stages.mean("input_gradient"))
    slots = (4.0 * stages.p - np.where(stages.p % 3.0 == 0.0, 6.0, 5.0)) / 2.0
    period: Num = np.maximum(stages.largest("total"), np.where(stages.p > 2.0, 3.0, 2.5) * longer)
    spare: Num = np.maximum(slots, 0.0)
    return m * period + spare * stages.mean("total") / 3.0


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """Counted: floor((p + 4)/3) at most, on all ranks but few for m > p. p = 8: 4."""
    return building_block.in_flight(block, p, m, rank)


def fullest(p: Num, m: Num, v: Num, first: Num, last: Num) -> Ranks:
    """Counted from the operations."""
    return building_block.fullest(block, p, m, first, last)


SCHEDULE = Schedule(
    name="v-min",
    title="V-Min",
    source="Qi 2024, arXiv:2405.15362",
    formula="(4p-5)/2 t_f, 3 | p: (4p-6)/2 t_f (equal times only)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    fullest=fullest,
    ops=ops,
    placement=VEE,
    chunks=2,
    requirements=(two_chunks("zero-bubble-pipeline-parallelism"),),
    frameworks={"zero-bubble-pipeline-parallelism": "--zero-bubble-v-schedule-mem-setup min"},
    band=11.0,
    uneven=18.0,
)
