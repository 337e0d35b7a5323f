"""V-Half (Qi et al. 2024, arXiv:2405.15362): half of 1F1B's activations."""

from __future__ import annotations

from functools import partial

import numpy as np

from planner.plan import Num
from planner.schedules import building_block
from planner.schedules.ops import VEE
from planner.schedules.record import Schedule, two_chunks
from planner.schedules.stages import Stages


def block(rank: int, p: int) -> tuple[int, int, int, int]:
    """Down the V in steps of two slots and up in steps of one, back likewise; three slots of rest where p is even.

    Then no two passes of a rank meet in a slot modulo six: the parities of 2*rank and 3p + 2*rank - 1 differ.
    p = 4: three micro-batches are held on every rank where 1F1B's rank 0 holds 4.
    """
    rest = 3 if p % 2 == 0 else 0
    return 2 * rank, 3 * p - 2 - rank, 3 * p + rest + 2 * rank - 1, 6 * p + rest - rank - 2


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*P + (3p - 7)/2 * max(t_f, t_B) for even p, (3p - 4)/2 for odd p; P = max(T, 2*max(t_f, t_B) + t_W/2).

    Times are means over ranks but for T, the longest. P is T while t_W covers what t_f and t_B differ by twice, as the
    paper has it (section 4.2). Exact at equal times and m >= 3p. p = 4, m = 12, equal times 1: 38.5.
    """
    longer = np.maximum(stages.mean("forward"), stages.mean("input_gradient"))
    paced = np.where(stages.p > 1.0, 2.0 * longer + stages.mean("weight_gradient") / 2.0, 0.0)
    period: Num = np.maximum(stages.largest("total"), paced)
    slots = (3.0 * stages.p - np.where(stages.p % 2.0 == 0.0, 7.0, 4.0)) / 2.0
    spare: Num = np.maximum(slots, np.where(stages.p > 1.0, 0.5, 0.0))
    return m * period + spare * longer


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """(6p - 4 + 2*floor((p - 2)/3))*c, whatever m: exact at equal times with m >= 2p, for m = p up to a quarter low.

    It needs asynchronous sends. With t_B/t_f from 0.9 to 1.8 and hops of t_f/10 the time is -5 to +2 % off for it.
    p = 4: 20 hops.
    """
    return np.where(p > 1.0, 6.0 * p - 4.0 + 2.0 * np.floor((p - 2.0) / 3.0), 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """floor((p + 2)/2) until W, on every rank, as warm-up is squeezed up to that; `fullest` says how many are whole.

    p = 8: 5.
    """
    return np.minimum(m, np.floor((p + 2.0) / 2.0)) + 0.0 * rank


SCHEDULE = Schedule(
    name="v-half",
    title="V-Half",
    source="Qi 2024, arXiv:2405.15362",
    formula="(3p-7)/2 t_f, p odd (3p-4)/2 t_f (equal times only)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    fullest=partial(building_block.fullest, block),
    ops=partial(building_block.ops, block),
    placement=VEE,
    chunks=2,
    requirements=(two_chunks("zero-bubble-pipeline-parallelism"),),
    frameworks={"zero-bubble-pipeline-parallelism": "--zero-bubble-v-schedule-mem-setup half"},
    band=6.0,
    uneven=10.0,
)
