"""Prefill and decode on pools of their own, with the numbers of instances matched to one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.cost import collectives
from planner.plan import Num, Plan
from planner.schema.serving import ServeWorkload
from planner.serving.estimate import decode_step, prefill
from planner.serving.job import ServeJob, replica_gpus, width
from planner.serving.memory import cache_bytes, most_running, token_bytes
from planner.serving.options import P99
from planner.serving.rules import legal
from planner.serving.space import ServeBounds, layouts, loads, with_loads

BUSY = 0.8
"""Share of its capacity at which a prefill pool is run, so that prompts need not queue for long (M/D/1: waiting twice a
service time)."""


@dataclass(frozen=True, slots=True)
class Pools:
    """x prefill and y decode instances.

    Attributes:
        prefill, decode: one instance of each; its dp is the number of instances; decode's b*m requests run in each.
        ttft, tpot: seconds; transfer: of ttft, moving a prompt's cache; requests: per second, of both pools together.
    """

    prefill: Plan
    decode: Plan
    ttft: float
    tpot: float
    transfer: float
    requests: float

    @property
    def gpus(self) -> float:
        """Accelerators of both pools."""
        return float(replica_gpus(self.prefill) * self.prefill.dp + replica_gpus(self.decode) * self.decode.dp)


def mean_bound(workload: ServeWorkload, name: str) -> float:
    """The bound on a mean that keeps the workload's level on its statistic; infinite where there is none."""
    level = getattr(workload, name)
    return np.inf if level is None else float(level) / (P99[name] if workload.statistic == "p99" else 1.0)


def prefill_rate(job: ServeJob, plan: Plan) -> Num:
    """Prompts per second of one prefill instance: a prompt holds its slowest stage for chunks * cycle."""
    chunks = np.ceil(job.workload.fresh / job.engine.chunk)
    return (chunks + plan.pp - 1.0) / chunks / prefill(job, plan, 1.0)


def transfer_time(job: ServeJob, source: Plan, target: Plan) -> Num:
    """Seconds to move a prompt's keys and values: each rank of the narrower instance sends or receives its share.

    input * bytes per token and rank / rate of one port, between neighbours of one scale-up domain where both fit one.
    """
    moved = job.workload.fresh * np.maximum(token_bytes(job, source), token_bytes(job, target))
    both = width(source) * source.pp + width(target) * target.pp
    return collectives.hop(job.cluster, moved, both / 2.0, 2.0)


def pools(job: ServeJob, bounds: ServeBounds) -> Pools | None:
    """The pools with the most tokens per second and accelerator under the workload's bounds, or None.

    Rate matching: x prefill instances at BUSY of their rate and y decode instances share x*gp + y*gd <= GPUs;
    requests/s = min(BUSY * x * r_p, y * B / (OSL * step)).
    """
    plans = layouts(job, bounds)
    plans = plans[legal(job, plans)[0]] if len(plans) else plans
    if not len(plans):
        return None
    plans = plans[np.asarray(cache_bytes(job, plans) > job.workload.length * token_bytes(job, plans))]
    if not len(plans):
        return None
    decode = with_loads(plans, loads())
    w = job.workload
    step = decode_step(job, decode, w.input + 0.5 * w.output).total
    good = (decode.b * decode.m <= most_running(job, decode)) & (step <= mean_bound(w, "tpot"))
    rate = decode.b * decode.m / (w.output * step)
    best: tuple[float, Any] | None = None
    for i in range(len(plans)):
        found = _match(job, plans[i], decode[good], step[good], rate[good])
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return None if best is None else best[1]


def _match(job: ServeJob, first: Plan, decode: Plan, step: Any, rate: Any) -> tuple[float, Pools] | None:
    """The best decode instances and counts for one prefill layout."""
    w, gpus = job.workload, job.cluster.gpus
    gp, gd = float(replica_gpus(first)), replica_gpus(decode)
    if not len(decode) or gp >= gpus:
        return None
    alone, each = float(prefill(job, first, 1.0)), float(prefill_rate(job, first))
    wait = 1.0 + BUSY / (2.0 * (1.0 - BUSY))
    best: tuple[float, Pools] | None = None
    for x in range(1, int((gpus - 1) // gp) + 1):
        y = np.floor((gpus - x * gp) / gd)
        needed = np.minimum(y, np.ceil(BUSY * x * each / rate))
        total = np.minimum(BUSY * x * each, needed * rate)
        moved = transfer_time(job, first, decode)
        ttft = job.engine.front + alone * wait + moved + 0.5 * step
        good = (y >= 1) & (ttft <= mean_bound(w, "ttft"))
        value = np.where(good, total * w.output / (x * gp + np.maximum(needed, 1.0) * gd), -np.inf)
        row = int(np.argmax(value))
        if np.isfinite(value[row]) and (best is None or value[row] > best[0]):
            found = Pools(
                prefill=_counted(first, x),
                decode=_counted(decode[row], int(needed[row])),
                ttft=float(ttft[row]),
                tpot=float(step[row]),
                transfer=float(moved[row]) if np.ndim(moved) else float(moved),
                requests=float(total[row]),
            )
            best = (float(value[row]), found)
    return best


def _counted(plan: Plan, instances: int) -> Plan:
    """The plan with so many instances, in whole numbers."""
    return replace(plan, dp=instances).scalar()
