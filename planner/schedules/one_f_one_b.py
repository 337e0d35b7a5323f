"""1F1B = PipeDream-Flush (Narayanan et al. 2020, arXiv:2006.09503; 2021, arXiv:2104.04473, section 2.2.1)."""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules.ops import Op, one_by_one
from planner.schedules.record import Requirement, Schedule, one_chunk
from planner.schedules.stages import Stages


def ops(rank: int, p: int, m: int, v: int) -> list[Op]:
    """p-1-rank forwards, then forward and backward in turn, then the backwards that remain.

    p = 4, m = 8, rank 0: F1 F2 F3, F4 B1 ... F8 B5, B6 B7 B8 (Megatron-LM core/pipeline_parallel/schedules.py).
    """
    return one_by_one([Op("F", i, 0) for i in range(m)], [Op("B", i, 0) for i in range(m)], p - 1 - rank)


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """max over ranks s of sum_{j<s} t_j + m*t_s + max(0, D_s - n_s*t_f,s) + max(0, D_s - n_s*t_b,s).

    D_s = sum_{j>s} t_j, n_s = p-1-s. Even stages give (m + p - 1)(t_f + t_b). For m >= p exact for one heavy stage
    anywhere and for two heavy ends; for m < p bounded by sum t + (m-1) max t (up to 5 % high beside short ends). A run
    of equal ranks is represented by its first, since the expression does not depend on s among equals.
    """
    p, total = stages.p, stages.sum("total")
    before: Num = 0.0
    t: Num = 0.0
    for run in stages.runs:
        work = run.work
        behind = np.maximum(total - before - work.total, 0.0)
        n = np.maximum(p - 1.0 - run.first, 0.0)
        here = before + m * work.total + _warm_up(behind, n, work.forward, work.backward)
        t = np.maximum(t, np.where(run.ranks > 0.0, here, 0.0))
        before = before + run.ranks * work.total
    return np.where(m < p, np.minimum(t, total + (m - 1.0) * stages.largest("total")), t)[()]


def _warm_up(behind: Num, n: Num, forward: Num, backward: Num) -> Num:
    """Idle time of a rank with n ranks behind it that need `behind` for one micro-batch: before and after its 1F1B."""
    before: Num = np.maximum(behind - n * forward, 0.0)
    return before + np.maximum(behind - n * backward, 0.0)


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """Asynchronous: 2*c*floor((p-1)(m+p-1)/p), since the loop F ... B of a micro-batch has no slack.

    Blocking (Megatron without p2p overlap): (2*m + 2*p - 5)*c for p >= 3, (m + 1)*c for p = 2.
    """
    if not blocking:
        return 2.0 * hop * np.floor((p - 1.0) * (m + p - 1.0) / p)
    count = np.where(p > 2.0, np.maximum(2.0 * m + 2.0 * p - 5.0, 2.0 * (p - 1.0)), m + 1.0)
    return np.where(p > 1.0, count, 0.0) * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """min(m, p - rank): rank 0 holds p, the last rank 1."""
    return np.minimum(m, p - rank)


SCHEDULE = Schedule(
    name="1f1b",
    title="1F1B",
    source="Narayanan 2021, arXiv:2104.04473, 2.2.1",
    formula="(p-1)(t_f + t_b)",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    may_block=True,
    requirements=(one_chunk(),),
    frameworks={
        "Megatron-LM": "forward_backward_pipelining_without_interleaving",
        "DeepSpeed": "TrainSchedule",
        "PyTorch": "1F1B",
        "torchtitan": "1F1B",
        "ColossalAI": "1f1b",
    },
    demands={
        "PyTorch": Requirement(
            "as_many_batches",
            lambda p, m, v: m >= p,
            "m={m} micro-batches are fewer than the p={p} stages",
            "PyTorch torch/distributed/pipelining/schedules.py",
        )
    },
    aliases=("", "none"),
)
