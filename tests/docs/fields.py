"""Every plan of a job with its time and its peak, and what it costs to obey a rule of thumb.

The cost of a rule: the fastest plan that obeys it over the fastest of all, less one. None: no plan obeys it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner import ask
from planner.plan import Plan
from planner.questions.serve import ask_serve
from planner.questions.train import problem
from planner.serving.choose import choose
from planner.serving.options import Option, per_gpu
from planner.training.estimate import estimate
from planner.training.space import plans

COLUMNS = ("tp", "pp", "v", "dp", "b", "m", "recompute_layers")


@dataclass(frozen=True)
class Field:
    """All legal plans, one per row. time: seconds of a step; need: bytes on the fullest rank."""

    plan: dict[str, Any]
    schedule: Any
    time: Any
    need: Any
    capacity: float
    batch: int

    def __getattr__(self, name: str) -> Any:
        return self.plan[name]

    @property
    def gpus(self) -> int:
        """Accelerators."""
        return int(self.tp[0] * self.pp[0] * self.dp[0])

    @property
    def bare(self) -> Any:
        """Plans that fit without recomputation."""
        return (self.need <= self.capacity) & (self.recompute_layers == 0)

    @property
    def full(self) -> Any:
        """Plans whose bubble is 20 % at most, by (p-1)/(m*v + p-1)."""
        return (self.pp == 1) | (self.m * self.v >= 4 * self.pp)

    def best(self, mask: Any = True, capacity: float | None = None) -> int | None:
        """The row of the fastest that fits under a mask."""
        fits = (self.need <= (capacity or self.capacity)) & mask
        return int(np.argmin(np.where(fits, self.time, np.inf))) if fits.any() else None

    def cost(self, mask: Any) -> float | None:
        """Of obeying a rule; None: no plan that fits does."""
        at, first = self.best(mask), self.best()
        return None if at is None or first is None else float(self.time[at] / self.time[first] - 1.0)

    def fewest(self, key: Any, value: Any, among: Any) -> Any:
        """Rows whose value is the smallest that some row of `among` with the same key has."""
        found = np.zeros(len(key), dtype=bool)
        for one in np.unique(key[among]):
            found |= (key == one) & (value == value[among & (key == one)].min())
        return found

    def words(self, at: int | None) -> str:
        """A plan in a table's cell."""
        return (
            "none"
            if at is None
            else f"{self.tp[at]}×{self.pp[at]}×{self.dp[at]}" + (f" v{self.v[at]}" if self.v[at] > 1 else "")
        )


def field(model: str, gpus: str, **options: Any) -> Field:
    """The field of a job, ZeRO-1 at most, the head where it is."""
    question = ask(model, gpus, zero="0..1", head="0", **options)
    asked, job = problem(question.job), question.job
    rows: list[dict[str, Any]] = []
    for batch in plans(job, question.bounds):
        mask, _ = asked.legal(batch)
        if mask.any():
            plan = batch[mask]
            part = {name: np.broadcast_to(getattr(plan, name), plan.shape) for name in COLUMNS}
            part |= {"need": np.broadcast_to(asked.need(plan), plan.shape)}
            part |= {"time": np.broadcast_to(asked.cost(plan), plan.shape)}
            rows.append(part | {"schedule": np.full(plan.shape, plan.schedule)})
    whole = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    columns = {name: whole[name] for name in COLUMNS}
    return Field(columns, whole["schedule"], whole["time"], whole["need"], asked.capacity, job.workload.global_batch)


def peak(model: str, gpus: str, schedule: str, **degrees: int) -> float:
    """Bytes on the fullest rank of one plan without recomputation, whatever the framework runs."""
    plan = Plan(schedule=schedule, b=1, zero=1, sp=1, **degrees)
    job = ask(model, gpus, framework="any", seq=4096, global_batch=plan.dp * plan.m).job
    return float(estimate(job, plan).memory.total)


Obeys = Callable[[Option], bool]
"""Whether a deployment obeys a rule."""


@dataclass(frozen=True)
class Deployments:
    """Deployments of a model on a cluster under one load, cheapest first. cost: seconds of a request, or per token."""

    ranked: tuple[Option, ...]
    costs: tuple[float, ...]
    domain: int
    switched: bool
    users: int

    def cost(self, obeys: Obeys) -> float | None:
        """Of obeying a rule; None: no deployment that fits does."""
        return next((c / self.costs[0] - 1.0 for o, c in zip(self.ranked, self.costs, strict=True) if obeys(o)), None)

    @property
    def holding(self) -> tuple[Option, ...]:
        """Those whose caches hold all requests at once; all that fit, where none does."""
        return tuple(o for o in self.ranked if o.most * o.plan.dp >= self.users) or self.ranked

    @property
    def fewest(self) -> int:
        """Stages of the shallowest that fits with its requests."""
        return min(int(one.plan.pp) for one in self.holding)


OUTPUT = 250


def deployments(model: str, gpus: str, users: int | None) -> Deployments:
    """1,000 prompt and 250 output tokens; None: offline. Up to 4 users count seconds, more count GPU time per token."""
    question = ask_serve(model, gpus, input=1000, output=OUTPUT, users=users)
    found = choose(question.job, question.bounds, "offline" if users is None else "throughput").ranked

    def cost(one: Option) -> float:
        alone = users is not None and users <= 4
        return float(one.ttft + (OUTPUT - 1) * one.tpot) if alone else 1.0 / float(per_gpu(one, OUTPUT))

    ranked = tuple(sorted(found, key=cost))
    cluster = question.job.cluster
    link = cluster.scaleup
    return Deployments(
        ranked,
        tuple(map(cost, ranked)),
        min(cluster.domain, cluster.gpus),
        bool(link and link.kind != "pcie"),
        users or 1,
    )
