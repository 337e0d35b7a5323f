"""Interleaved 1F1B (Narayanan et al. 2021, arXiv:2104.04473, section 2.2.2): v model chunks per rank."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.stages import Stages


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m * max t + (sum t - max t) / v, t per rank over all its chunks; even stages: m*t + (p-1)*t/v.

    p = 4, m = 8, v = 2, t_f = t_b = 1: 16 + 3 = 19 instead of 22.
    """
    longest = stages.largest("total")
    return m * longest + (stages.sum("total") - longest) / v


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """2*(p*v - 1)*c in fill and drain, and a share of the 2*m*v*c in the steady state.

    The closed form for perfect overlap has exposed = 0 (exact for c <= min(t_f, t_b)/v); measured runs across nodes
    show a share of it (Qi et al. 2024, arXiv:2401.10241, Table 4 against Table 9).
    """
    return np.where(p > 1.0, 2.0 * (p * v - 1.0) + exposed * 2.0 * m * v, 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """Chunks min(m*v, 2(p-1-rank) + (v-1)*p + 1) over v: rank 0 holds p + (p-1)/v micro-batches.

    Megatron-LM core/pipeline_parallel/schedules.py, get_pp_rank_microbatches: warm-up chunks plus one.
    """
    return np.minimum(m * v, 2.0 * (p - 1.0 - rank) + (v - 1.0) * p + 1.0) / v
