"""V-Min (Qi et al. 2024, arXiv:2405.15362): a third of 1F1B's activations."""

from __future__ import annotations

from functools import partial

import numpy as np

from planner.plan import Num
from planner.schedules import building_block
from planner.schedules.ops import VEE
from planner.schedules.record import Schedule, two_chunks
from planner.schedules.stages import Stages


def block(rank: int, p: int) -> tuple[int, int, int, int]:
    """Down the V, up, down and up again in steps of one slot; two slots of rest where 3 divides p.

    p = 8: four micro-batches are held where 1F1B's rank 0 holds 8.
    """
    rest = 2 if p % 3 == 0 else 0
    return rank, 2 * p - 1 - rank, 2 * p + rest + rank, 4 * p + rest - 1 - rank


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*P + (4p - 5)/2 * T/3, or (4p - 6)/2 * T/3 where 3 divides p; P = max(T, 3*max(t_f, t_B)).

    Times are means over ranks but for the T of P, the longest. Passes follow each other without a gap, so that the
    longer kind sets the pace of all; two ranks alternate, P = max(T, 3(t_f + t_B)/2, t_f/2 + 2*t_B + t_W/2). The
    published scheduler saves half a slot more where 3 divides p. Exact at equal times and m >= 3p. p = 4, m = 12, equal
    times 1: 41.5.
    """
    f, b, w = (stages.mean(of) for of in ("forward", "input_gradient", "weight_gradient"))
    slots = (4.0 * stages.p - np.where(stages.p % 3.0 == 0.0, 6.0, 5.0)) / 2.0
    two = np.where(stages.p == 2.0, np.maximum(1.5 * (f + b), 0.5 * f + 2.0 * b + 0.5 * w), 0.0)
    paced = np.where(stages.p > 2.0, 3.0 * np.maximum(f, b), two)
    period: Num = np.maximum(stages.largest("total"), paced)
    spare: Num = np.maximum(slots, 0.0)
    return m * period + spare * stages.mean("total") / 3.0


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """(6m*(p - 1)/p + 4p - 12)*c where 3 divides p: its passes follow each other without a gap, and the period grows.

    Else up to (6m*(p - 2)/(p - 1) + 4p - 10)*c. It needs asynchronous sends. At equal times and m >= 2p within 2 hops
    and 2 %; with t_B/t_f from 0.9 to 1.8 and hops of t_f/10 the time is -1 to +2 % off for it. p = 6, m = 12: 72.
    """
    rest = p % 3.0
    freed = 3.0 / np.maximum(p - (rest == 1.0), 1.0) + 3.0 / np.maximum(p - (rest > 0.0), 1.0)
    period = np.where(p == 2.0, 2.0, 6.0 - freed)
    ends = np.maximum(4.0 * p - np.where(rest > 0.0, 10.0, 12.0), 2.0)
    return np.where(p > 1.0, m * period + ends, 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """floor((p + 4)/3) until W, on every rank but the first of two, which never holds more than 1.5 from m = 3 on.

    `fullest` says how many are whole. p = 8: 4.
    """
    first_of_two = np.where((p == 2.0) & (rank == 0.0) & (m > 2.0), 1.5, np.inf)[()]
    return np.minimum(np.minimum(m, np.floor((p + 4.0) / 3.0)), first_of_two)


SCHEDULE = Schedule(
    name="v-min",
    title="V-Min",
    source="Qi 2024, arXiv:2405.15362",
    formula="(4p-5)/2 t_f, 3 | p: (4p-6)/2 t_f (equal times only)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    fullest=partial(building_block.fullest, block),
    ops=partial(building_block.ops, block),
    placement=VEE,
    chunks=2,
    requirements=(two_chunks("zero-bubble-pipeline-parallelism"),),
    frameworks={"zero-bubble-pipeline-parallelism": "--zero-bubble-v-schedule-mem-setup min"},
    band=6.0,
    uneven=10.0,
)
