"""Forward passes alone: evaluation, or the prefill of a batch of prompts in m micro-batches."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.ops import Op
from planner.schedules.record import Schedule, one_chunk
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """F1..Fm."""
    return [Op("F", i, 0) for i in range(m)]


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """sum t_f + (m-1) * max t_f, exact for uneven stages; (m + p - 1)*t_f if even.

    p = 4, m = 8, t_f = 1: 11, bubble fraction 3/11 = 27.3 %, the same as in training.
    """
    return stages.sum("forward") + (m - 1.0) * stages.largest("forward")


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """Asynchronous: (p-1)*c; blocking (2m + p - 3)*c, m*c for p = 2. p = 4, m = 8: 3 and 17 hops."""
    if not blocking:
        return (p - 1.0) * hop
    return np.where(p > 2.0, np.maximum(2.0 * m + p - 3.0, p - 1.0), np.where(p > 1.0, m, 0.0)) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """One, while it is computed: nothing is kept for a backward. KV caches of all m are the engine's to count."""
    return np.minimum(m, 1.0) + 0.0 * rank


SCHEDULE = Schedule(
    name="forward-only",
    title="forward only (prefill)",
    source="GPipe, arXiv:1811.06965, 2.3, without its backwards",
    formula="(p-1) t_f",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    may_block=True,
    requirements=(one_chunk(),),
    trains=False,
    frameworks={
        "DeepSpeed": "InferenceSchedule",
        "Megatron-LM": "forward_only",
        "ColossalAI": "GenerateSchedule",
        "PyTorch": "_ScheduleForwardOnly",
    },
)
