"""The best deployment for an objective, what the other layouts break, and the front between users and accelerators."""

from __future__ import annotations

import numpy as np

from planner.frozen import frozen
from planner.plan import Floats, Mask, Plan, Truth
from planner.serving.job import ServeJob, at_batch, running
from planner.serving.objective import OBJECTIVES, Objective
from planner.serving.options import Option, evaluate, full, per_gpu, rated, verdicts
from planner.serving.queueing import open_loop
from planner.serving.rules import legal
from planner.serving.space import ServeBounds, layouts, loads, with_loads

ALIKE = 0.03
"""Share by which no measurement tells two layouts apart."""

DIGITS = 6
"""Decimals to which costs are compared: where a given rate makes layouts yield alike, the fastest comes first."""


@frozen
class Rejected:
    """A layout none of whose loads does what was asked.

    Attributes:
        option: its nearest miss; breaks: memory, load, ttft or tpot, what it breaks first.
    """

    option: Option
    breaks: str


@frozen
class Choice:
    """What a search found: the best load of each layout, best first, and the layouts that fail.

    Attributes:
        alike: for each of `ranked`, layouts that it stands for beside its own.
    """

    ranked: tuple[Option, ...]
    rejected: tuple[Rejected, ...]
    options: int
    alike: tuple[tuple[Option, ...], ...] = ()


def choose(job: ServeJob, bounds: ServeBounds, name: str, together: bool = False) -> Choice:
    """Rank all legal layouts, each at its best load, by what the objective of this name asks for."""
    objective = OBJECTIVES[name]
    plans = layouts(job, bounds, replicas=objective.counts)
    plans = plans[legal(job, plans)[0]] if len(plans) else plans
    if not len(plans):
        return Choice((), (), 0)
    options, each = _options(job, plans, objective, together)
    broken = verdicts(job, options)
    holds = _admitted(job, options, objective, together)
    for mask in broken.values():
        holds = holds & ~np.asarray(mask, dtype=bool)
    cost = np.where(holds, objective.cost(job, options), np.inf)
    stay = np.asarray(options.ttft + (job.workload.output - 1.0) * options.tpot)
    ranked: list[tuple[float, float, int]] = []
    rejected: list[Rejected] = []
    for start in range(0, len(cost), each):
        row = start + int(np.argmin(cost[start : start + each]))
        if np.isfinite(cost[row]):
            ranked.append((round(float(cost[row]), DIGITS), round(float(stay[row]), DIGITS), row))
        else:
            rejected.append(_reject(options, broken, start))
    ranked.sort()
    groups = _merged([options[row] for *_, row in ranked])
    firsts, others = tuple(g[0] for g in groups), tuple(tuple(g[1:]) for g in groups)
    return Choice(firsts, tuple(sorted(rejected, key=_nearness)), len(cost), others)


def carries(job: ServeJob, bounds: ServeBounds, rates: Floats, replicas: bool) -> Mask:
    """For each of some open loads, whether a layout carries it and keeps the service levels."""
    plans = layouts(job, bounds, replicas)
    plans = plans[legal(job, plans)[0]]
    every = plans[np.tile(np.arange(len(plans)), rates.size)]
    option = rated(job, every, open_loop(job, every, np.repeat(rates, len(plans))), False)
    kept = np.ones((rates.size, len(plans)), dtype=bool)
    for mask in verdicts(job, option).values():
        kept &= ~np.reshape(np.asarray(mask, dtype=bool), kept.shape)
    return np.asarray(kept.any(axis=1))


def _merged(ranked: list[Option]) -> list[list[Option]]:
    """Options in groups that differ in nothing that counts, in the order of their first."""
    groups: list[list[Option]] = []
    for option in ranked:
        group = next((g for g in groups if alike(g[0], option)), None)
        if group is None:
            groups.append([option])
        else:
            group.append(option)
    return groups


def alike(one: Option, other: Option) -> bool:
    """Whether two layouts differ in their experts' degree alone, and every number of theirs by less than ALIKE."""
    return _layout(one) == _layout(other) and all(
        abs(a - b) <= ALIKE * max(abs(a), abs(b)) for a, b in zip(_numbers(one), _numbers(other), strict=True)
    )


def _layout(option: Option) -> tuple[float, ...]:
    return tuple(float(getattr(option.plan, name)) for name in ("tp", "pp", "dp"))


def _numbers(option: Option) -> tuple[float, ...]:
    """What users see of a deployment, and what it takes."""
    served, memory = option.served, option.memory
    seen = (option.gpus, option.users, served.running, option.ttft, option.tpot, served.requests)
    return tuple(float(x) for x in (*seen, memory.total, option.kv_tokens, option.short))


def _options(job: ServeJob, plans: Plan, objective: Objective, together: bool) -> tuple[Option, int]:
    """All options, and how many rows each layout has."""
    w = job.workload
    if objective.load == "endless":
        return full(job, plans), 1
    if w.rate is not None:
        return evaluate(job, plans, together), 1
    if w.users is not None:
        return evaluate(job, at_batch(plans, np.ceil(w.users / plans.dp)), together), 1
    if objective.load == "one":
        return evaluate(job, at_batch(plans, 1.0 + 0.0 * plans.tp), together), 1
    tried = loads()
    return evaluate(job, with_loads(plans, tried), together), len(tried)


def _admitted(job: ServeJob, options: Option, objective: Objective, together: bool) -> Truth:
    """Of searched loads, those that run without waiting for the cache; given ones may wait."""
    given = job.workload.users is not None or job.workload.rate is not None
    if given or together or objective.load != "searched":
        return np.ones(np.shape(options.most), dtype=bool)
    return running(options.plan) <= options.most


ORDER = ("memory", "load", "ttft", "tpot")
"""What a layout is said to break, the first that holds at its lightest load."""


def _reject(options: Option, broken: dict[str, Truth], start: int) -> Rejected:
    """The lightest load of a layout and what it breaks first."""
    names = [name for name in ORDER if bool(np.asarray(broken[name])[start])]
    return Rejected(options[start], names[0] if names else "memory")


def _nearness(rejected: Rejected) -> tuple[bool, float, float, float]:
    """Layouts that fit before those that do not, the nearest first."""
    option = rejected.option
    return (rejected.breaks == "memory", float(option.short), float(option.tpot), float(option.ttft))


@frozen
class Front:
    """Deployments that no other beats in both tokens per second and user and per second and accelerator."""

    options: tuple[Option, ...]
    per_user: tuple[float, ...]
    per_gpu: tuple[float, ...]


def front(job: ServeJob, bounds: ServeBounds) -> Front:
    """The front over all legal layouts and loads that fit, of a job without a load of its own; slowest users first."""
    plans = layouts(job, bounds)
    plans = plans[legal(job, plans)[0]] if len(plans) else plans
    if not len(plans):
        return Front((), (), ())
    options = evaluate(job, with_loads(plans, loads()))
    fits = (running(options.plan) <= options.most) & (np.asarray(options.short) <= 0.0)
    users, gpus = np.asarray(options.per_user), np.asarray(per_gpu(options, job.workload.output))
    rows = pareto(np.where(fits, users, -np.inf), np.where(fits, gpus, -np.inf))
    return Front(tuple(options[r] for r in rows), tuple(map(float, users[rows])), tuple(map(float, gpus[rows])))


def pareto(x: Floats, y: Floats) -> list[int]:
    """Rows that no other row beats in both columns, by rising x."""
    order = sorted(range(len(x)), key=lambda i: (-x[i], -y[i]))
    kept: list[int] = []
    best = -np.inf
    for row in order:
        if np.isfinite(x[row]) and y[row] > best:
            kept.append(row)
            best = y[row]
    return kept[::-1]
