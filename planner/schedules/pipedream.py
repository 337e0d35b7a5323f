"""PipeDream (Narayanan et al. 2019, SOSP): 1F1B that never drains, each rank keeping the weights its backwards need.

The optimizer updates after every micro-batch, on gradients up to p - 1 updates old: another algorithm than
synchronous training, hence never in a search unless asked for.
"""

from __future__ import annotations

import numpy as np

from planner.plan import Num
from planner.schedules import one_f_one_b
from planner.schedules.record import Schedule, one_chunk
from planner.schedules.stages import Stages

ops = one_f_one_b.ops
"""The order of 1F1B; a run is one long list, which fills once and drains once."""


def pipeline_time(stages: Stages, m: Num, v: Num) -> Num:
    """m * max(t_f + t_b): the steady state; fill and drain are paid once per run, not once per step.

    It is what m more micro-batches add to a replay. p = 4, m = 8, t_f = t_b = 1: 16 where 1F1B takes 22.
    """
    return m * stages.largest("total")


def exposed_p2p(p: Num, m: Num, v: Num, hop: Num, blocking: bool, exposed: float) -> Num:
    """2*m*c*(p-1)/p: p - rank micro-batches are in flight and no more, so the period is t + 2*c*(p-1)/p.

    Exact for m that p divides; blocking sends 2*m*c (m*c for p = 2). p = 4, m = 8: 12 hops.
    """
    if blocking:
        return np.where(p > 2.0, 2.0, np.where(p > 1.0, 1.0, 0.0)) * m * hop
    return 2.0 * m * (p - 1.0) / p * hop


def in_flight(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """min(m, p - rank), as 1F1B."""
    return np.minimum(m, p - rank)


def weight_versions(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """p - rank: one per micro-batch in flight (num_warmup_minibatches + 1 in the authors' runtime). Rank 0 of 4: 4."""
    return p - rank + 0.0 * m


SCHEDULE = Schedule(
    name="pipedream",
    title="PipeDream (asynchronous 1F1B, weight stashing)",
    source="Narayanan 2019, doi:10.1145/3341301.3359646, 3.2-3.3",
    formula="0 in the steady state",
    pipeline_time=pipeline_time,
    exposed_p2p=exposed_p2p,
    in_flight=in_flight,
    ops=ops,
    may_block=True,
    weight_versions=weight_versions,
    requirements=(one_chunk(),),
    asynchronous=True,
    frameworks={"msr-fiddle/pipedream": "branch pipedream"},
)
