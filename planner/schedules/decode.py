"""Continuous decoding: m batches go round the pipeline, each starting its next token when the last one has come out.

A closed queue, not a batch that drains. "Chunk" k is token k; v tokens are counted.
"""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.ops import TOKENS, Op
from planner.schedules.record import Schedule
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """One token of every batch, then the next token of every batch."""
    return [Op("F", i, token) for token in range(v) for i in range(m)]


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """(v-1) * max(m * max t_f, sum t_f) + sum t_f + (m-1) * max t_f, exact for uneven stages.

    p = 4, t_f = 1, a hundred tokens: 400 with m = 1 (a quarter of each rank used), 403 with m = 4 (all of it).
    """
    once, longest = stages.sum("forward"), stages.largest("forward")
    return (v - 1.0) * np.maximum(m * longest, once) + once + (m - 1.0) * longest


def utilisation(p: Num, m: Num, forward: Num, hop: Num) -> Num:
    """min(1, m*t_f / (p*(t_f + c))): busy share of a rank in the steady state.

    p = 4, c = 0: 25 % with one batch in flight, 100 % with four. One token takes max(p*(t_f + c), m*t_f).
    """
    return np.minimum(1.0, m * forward / (p * (forward + hop)))


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """(p*v - 1)*c for m <= p; (p-1)*c for m > p if (m-p)*t_f >= p*c, the other batches hiding the rest.

    The hop from rank p-1 to rank 0, which carries a token, is counted like the others.
    """
    return np.where(p > 1.0, np.where(m > p, p, p * v) - 1.0, 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """One, while it is computed; KV caches of all m batches are the engine's to count."""
    return np.minimum(m, 1.0) + 0.0 * rank


SCHEDULE = Schedule(
    name="decode",
    title="continuous decode",
    source="closed queue; vLLM RFC, github.com/vllm-project/vllm/issues/11945",
    formula="v max(0, p - m) t_f",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    placement=TOKENS,
    trains=False,
    frameworks={"vLLM": "pipeline parallel engine, several scheduled batches"},
)
