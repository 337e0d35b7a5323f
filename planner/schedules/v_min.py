"""V-Min (Qi et al. 2024, arXiv:2405.15362): a third of 1F1B's activations. Equal-time estimate only, no operations.

As for V-Half the counts were fitted to the published scheduler's output at t_f = t_B = t_W. With unequal times V-Min
idles in every micro-batch, which no formula here shows.
"""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import zb_v
from planner.schedules.ops import VEE
from planner.schedules.record import Schedule, two_chunks
from planner.schedules.stages import Stages

exposed_p2p = zb_v.exposed_p2p
"""That of ZB-V: not checked against a replay."""


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m*T + (4p - 5)/2 * T/3, or (4p - 7)/2 * T/3 where 3 divides p: T/3 stands for t_f = t_B = t_W, p >= 3.

    p = 4, m = 8, equal times 1: 29.5.
    """
    total = stages.largest("total")
    slots = (4.0 * stages.p - np.where(stages.p % 3.0 == 0.0, 7.0, 5.0)) / 2.0
    return m * total + np.maximum(slots, 0.0) * (total / 3.0)


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """floor((p + 4)/3) on every rank: 4 at p = 8."""
    return np.minimum(m, np.floor((p + 4.0) / 3.0)) + 0.0 * rank


SCHEDULE = Schedule(
    name="v-min",
    title="V-Min (equal-time estimate only)",
    source="Qi 2024, arXiv:2405.15362",
    formula="(4p-5)/2 t_f, 3 | p: (4p-7)/2 t_f (equal times only)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    waiting=zb_v.waiting,
    placement=VEE,
    chunks=2,
    requirements=(two_chunks("zero-bubble-pipeline-parallelism"),),
    frameworks={"zero-bubble-pipeline-parallelism": "--zero-bubble-v-schedule-mem-setup min"},
    band=30.0,
)
