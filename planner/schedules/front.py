"""Micro-batches between their two passes through a pipeline's first chunk, by replay of the first rank's order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from planner.plan import Num
from planner.schedules import SCHEDULES

TURNS = 4
"""Times as many micro-batches as ranks, after which an order that is not done with all has repeated itself."""

HELD = {"F": 1, "B": -1, "W": -1}
"""What an operation adds: activations go with the weight gradient."""


def in_front(schedule: str, p: Num, m: Num, v: Num) -> Num:
    """The most at a time. Interleaved, p = 4, m = 16, v = 2: 8, while the rank's chunks together have 5.5 of each."""
    if np.ndim(p) == np.ndim(m) == np.ndim(v) == 0:
        return float(_most(schedule, int(p), int(m), int(v)))
    columns = np.broadcast_arrays(p, m, v)
    found, where = np.unique(np.stack([column.ravel() for column in columns]), axis=1, return_inverse=True)
    most = [_most(schedule, *(int(number) for number in row)) for row in found.T]
    return np.array(most, dtype=np.float64)[where.reshape(-1)].reshape(columns[0].shape)


@lru_cache(maxsize=16384)
def _most(name: str, p: int, m: int, v: int) -> int:
    schedule = SCHEDULES[name]
    if p == 1 or not schedule.meets(p, m, v):
        return 0
    few = min(m, TURNS * p)
    if few < m and schedule.in_flight(p, m, v, 0.0) > schedule.in_flight(p, few, v, 0.0):
        return m
    held = [HELD.get(op.kind, 0) for op in schedule.ops(0, p, few, v) if op.chunk == 0]
    return int(np.max(np.cumsum(held)))
