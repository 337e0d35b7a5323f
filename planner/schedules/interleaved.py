"""Interleaved 1F1B (Narayanan et al. 2021, arXiv:2104.04473, section 2.2.2): v model chunks per rank."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.ops import Op, one_by_one
from planner.schedules.record import Requirement, Schedule
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int, group: int | None = None) -> list[Op]:
    """Groups of N micro-batches go through chunk 0, then chunk 1 ...; backwards from the last chunk.

    2(p-1-rank) + (v-1)*N forwards come before the first backward; N = p unless `group` says otherwise
    (--microbatch-group-size-per-virtual-pipeline-stage in Megatron-LM). p = 4, v = 2, rank 0: F1-F4 of chunk 0, F1-F4
    of chunk 1, F5-F6 of chunk 0, then F7 of chunk 0 and B1 of chunk 1 in turn.
    """
    n = group or p
    visits = [(i, c) for g in range(0, m, n) for c in range(v) for i in range(g, min(g + n, m))]
    forwards = [Op("F", i, c) for i, c in visits]
    backwards = [Op("B", i, v - 1 - c) for i, c in visits]
    return one_by_one(forwards, backwards, 2 * (p - 1 - rank) + (v - 1) * n)


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


def in_flight(p: Num, m: Num, v: Num, rank: Num, group: Num | None = None) -> Num:
    """Chunks min(m*v, 2(p-1-rank) + (v-1)*N + 1) over v, N = p: rank 0 holds p + (p-1)/v micro-batches.

    Megatron-LM core/pipeline_parallel/schedules.py, get_pp_rank_microbatches: warm-up chunks plus one.
    """
    return np.minimum(m * v, 2.0 * (p - 1.0 - rank) + (v - 1.0) * (p if group is None else group) + 1.0) / v


MEGATRON = "Megatron-LM core/pipeline_parallel/schedules.py"

SCHEDULE = Schedule(
    name="interleaved",
    title="interleaved 1F1B",
    source="Narayanan 2021, arXiv:2104.04473, 2.2.2",
    formula="(p-1)(t_f + t_b)/v",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    chunks=0,
    requirements=(
        Requirement("several_chunks", lambda p, m, v: v > 1, "v={v}: interleaving needs two chunks or more", MEGATRON),
        Requirement("several_ranks", lambda p, m, v: p > 1, "p={p}: interleaving needs two ranks or more", MEGATRON),
        Requirement(
            "whole_groups",
            lambda p, m, v: m % p == 0,
            "m={m} is no multiple of the groups of p={p} that it runs",
            MEGATRON,
        ),
    ),
    frameworks={
        "Megatron-LM": "forward_backward_pipelining_with_interleaving (virtual pipeline)",
        "PyTorch": "Interleaved1F1B",
        "torchtitan": "Interleaved1F1B",
        "ColossalAI": "interleaved",
    },
    aliases=("interleaved-1f1b",),
    uneven=9.0,
)
