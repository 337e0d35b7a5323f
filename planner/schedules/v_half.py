"""V-Half (Qi et al. 2024, arXiv:2405.15362): half of 1F1B's activations. Equal-time estimate only, no operations.

Its order comes out of a scheduler that looks at the measured times; the counts here were fitted to that scheduler's
output at t_f = t_B = t_W (sail-sg zero-bubble-pipeline-parallelism, p = 3..18).
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
    """m*T + (3p - 7)/2 * T/3 for even p, (3p - 4)/2 * T/3 for odd p: T/3 stands for t_f = t_B = t_W, p >= 3.

    p = 4, m = 8, equal times 1: 26.5. Times that differ make it longer.
    """
    total = stages.largest("total")
    slots = (3.0 * stages.p - np.where(stages.p % 2.0 == 0.0, 7.0, 4.0)) / 2.0
    return m * total + np.maximum(slots, 0.0) * (total / 3.0)


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """floor((p + 2)/2) on every rank: 5 at p = 8."""
    return np.minimum(m, np.floor((p + 2.0) / 2.0)) + 0.0 * rank


SCHEDULE = Schedule(
    name="v-half",
    title="V-Half (equal-time estimate only)",
    source="Qi 2024, arXiv:2405.15362",
    formula="(3p-7)/2 t_f, p odd (3p-4)/2 t_f (equal times only)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    waiting=zb_v.waiting,
    placement=VEE,
    chunks=2,
    requirements=(two_chunks("zero-bubble-pipeline-parallelism"),),
    frameworks={"zero-bubble-pipeline-parallelism": "--zero-bubble-v-schedule-mem-setup half"},
    band=15.0,
)
