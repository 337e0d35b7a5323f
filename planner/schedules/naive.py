"""Naive model parallelism: the whole batch goes through the stages undivided, one stage works at a time."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.stages import Stages


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """Each batch visits every stage forward and back: m * sum(t_f + t_b); m is 1 for an undivided batch."""
    return m * stages.sum("total")


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """p - 1 hops there and p - 1 back per batch."""
    return 2.0 * m * (p - 1.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """One batch, on every rank."""
    return np.minimum(m, 1.0) + 0.0 * rank
