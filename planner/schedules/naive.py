"""Naive model parallelism: the whole batch goes through the stages undivided, one stage works at a time."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.ops import Op
from planner.schedules.record import Requirement, Schedule, one_chunk
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """A batch goes forward and back before the next one starts."""
    return [Op(kind, i, 0) for i in range(m) for kind in "FB"]


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """Each batch visits every stage forward and back: m * sum(t_f + t_b); m is 1 for an undivided batch."""
    return m * stages.sum("total")


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """p - 1 hops there and p - 1 back per batch."""
    return 2.0 * m * (p - 1.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """One batch, on every rank."""
    return np.minimum(m, 1.0) + 0.0 * rank


SCHEDULE = Schedule(
    name="naive",
    title="naive model parallelism",
    source="GPipe, arXiv:1811.06965, 2.3",
    formula="m(p-1)(t_f + t_b)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    may_block=True,
    requirements=(
        one_chunk(),
        Requirement("undivided", lambda p, m, v: m == 1, "m={m}: it takes the batch undivided, m = 1", "definition"),
    ),
    frameworks={"PyTorch": "GPipe", "torchtitan": "GPipe", "Transformers": "device_map"},
)
