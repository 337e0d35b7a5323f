"""Deployments with what they give and what they break."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from planner.frozen import frozen
from planner.plan import INTEGERS, Index, Num, Plan, Truth
from planner.serving.estimate import DecodeStep
from planner.serving.job import ServeJob, at_batch, replica_gpus, running
from planner.serving.memory import ServeMemory, kv_tokens, memory, most_running, room, spare
from planner.serving.queueing import Served, loaded, offline, open_loop

P99 = {"ttft": 1.67, "tpot": 1.13}
"""99th percentile over mean: Llama 2 70B on 8 H100 in MLPerf Inference v4.1, server scenario (461 / 276 and 175 / 155
ms)."""


@frozen
class Option:
    """Deployments: one, or arrays of them.

    Attributes:
        plan: layout, with the load in b and m; served: what users see.
        ttft, tpot: of the asked statistic, in seconds; memory: per rank; capacity: bytes there are for it.
        kv_tokens: that one replica's cache holds; most: requests that it can run together.
        least: requests that have to fit at once, to their last token; short: bytes per rank that are missing for them.
    """

    plan: Plan
    served: Served
    ttft: Num
    tpot: Num
    memory: ServeMemory
    capacity: Num
    kv_tokens: Num
    most: Num
    least: Num
    short: Num

    def __getitem__(self, index: Index) -> Option:
        """The option at a position, or those under a mask."""
        picked: Option = _pick(self, index)
        return picked

    @property
    def step(self) -> DecodeStep:
        """Parts of the mean time per token."""
        return self.served.step

    @property
    def gpus(self) -> Num:
        """Accelerators in use."""
        return replica_gpus(self.plan) * self.plan.dp

    @property
    def users(self) -> Num:
        """Requests in flight over all replicas."""
        return self.served.offered * self.plan.dp

    @property
    def per_user(self) -> Num:
        """Tokens per second that one user sees: 1 / TPOT."""
        return 1.0 / self.served.tpot


def _pick(value: Any, index: Index) -> Any:
    """A record's elements at an index, nested records included; numbers stay."""
    if isinstance(value, Plan):
        columns = {n: getattr(value, n)[index] if np.ndim(getattr(value, n)) else getattr(value, n) for n in INTEGERS}
        return replace(value, **columns)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _pick(getattr(value, f.name), index) for f in fields(value)})
    return value[index] if np.ndim(value) else value


def evaluate(job: ServeJob, plan: Plan, together: bool = False) -> Option:
    """What deployments give: under the workload's rate if it has one, else with b*m users per replica.

    `together`: the users' requests must run at once, at full length (a batch), instead of waiting for the cache.
    """
    rate = job.workload.rate
    return rated(job, plan, loaded(job, plan) if rate is None else open_loop(job, plan, rate), together)


def full(job: ServeJob, plan: Plan) -> Option:
    """Deployments that run all their caches hold, from an endless list of requests."""
    served = offline(job, plan)
    return rated(job, at_batch(plan, served.running), served, False)


def rated(job: ServeJob, plan: Plan, served: Served, together: bool) -> Option:
    """Memory, statistic and shortfall beside what users see."""
    w = job.workload
    kept = at_batch(plan, served.running if not together else running(plan))
    need, least = memory(job, kept), running(plan) if together else 1.0 + 0.0 * running(plan)
    fixed = need.weights + need.activations + need.reserve
    factors = P99 if w.statistic == "p99" else {"ttft": 1.0, "tpot": 1.0}
    return Option(
        plan=plan,
        served=served,
        ttft=factors["ttft"] * served.ttft,
        tpot=factors["tpot"] * served.tpot,
        memory=need,
        capacity=fixed + room(job, fixed),
        kv_tokens=kv_tokens(job, plan),
        most=most_running(job, plan),
        least=least,
        short=np.maximum(-spare(job, plan, least, 1.0 * w.length - w.prefix), 0.0),
    )


def per_gpu(option: Option, output: int) -> Num:
    """Output tokens per second and accelerator in use."""
    return option.served.requests * output / option.gpus


def verdicts(job: ServeJob, option: Option) -> dict[str, Truth]:
    """What each deployment breaks: memory, load, ttft, tpot, each a mask."""
    w = job.workload
    return {
        "memory": option.short > 0.0,
        "load": ~np.asarray(option.served.stable, dtype=bool) & (option.short <= 0.0),
        "ttft": option.ttft > (np.inf if w.ttft is None else w.ttft),
        "tpot": option.tpot > (np.inf if w.tpot is None else w.tpot),
    }
