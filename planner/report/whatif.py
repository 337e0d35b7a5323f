"""What the answer rests on: other networks, kernels and batches for the same plans; and why not other degrees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations, groupby
from typing import Any

import numpy as np

from planner.accuracy.constants import with_factors
from planner.plan import OnePlan, rows_of
from planner.questions.layout_map import DEGREES, Place, alone, paired
from planner.questions.train import Ranked, problem, usable_memory
from planner.report.words import degrees
from planner.search import Candidate, search
from planner.training.job import Job
from planner.training.space import recompute_words
from planner.training.throughput import throughput
from planner.units import GIB, format_bytes, format_seconds

Change = Callable[[Job], Job]


def _rate(name: str, factor: float) -> Change:
    """A link so many times as fast."""

    def change(job: Job) -> Job:
        link = getattr(job.cluster, name)
        faster = link.model_copy(update={"rate": link.rate * factor})
        return replace(job, cluster=job.cluster.model_copy(update={name: faster}))

    return change


def _batch(factor: float) -> Change:
    def change(job: Job) -> Job:
        batch = round(job.workload.global_batch * factor)
        return replace(job, workload=job.workload.model_copy(update={"global_batch": batch}))

    return change


CHANGES: tuple[tuple[str, Change], ...] = (
    ("network at half its rate", _rate("network", 0.5)),
    ("network twice as fast", _rate("network", 2.0)),
    ("link inside the node at half its rate", _rate("scaleup", 0.5)),
    ("kernels 10% slower", lambda job: with_factors(job, {"compute": 0.9})),
    ("kernels 10% faster", lambda job: with_factors(job, {"compute": 1.1})),
    ("half the batch", _batch(0.5)),
    ("twice the batch", _batch(2.0)),
)
"""What is changed, one at a time."""


def sensitivities(first: Ranked, every: Sequence[Place]) -> list[dict[str, Any]]:
    """The first plan and the best of all combinations under each change; no plan where none is legal or fits then."""
    job, plans = first.job, [first.plan, *(one.found.plan for one in every if one.found)]
    found = []
    for said, change in CHANGES:
        link = said.partition(" ")[0]
        if getattr(job.cluster, {"network": "network", "link": "scaleup"}.get(link, "node")) is None:
            continue
        if link == "network" and job.cluster.nodes == 1:
            continue
        other = change(job)
        own, best = (_best(other, job, some) for some in (plans[:1], plans))
        found.append({"what": said, "plan": _numbers(other, own, first), "best": _numbers(other, best, first)})
    return found


def _numbers(job: Job, one: Candidate | None, first: Ranked) -> dict[str, Any] | None:
    if one is None:
        return None
    speed = throughput(job, one.cost)[0]
    change = speed / first.tokens_per_second - 1.0
    return {"says": degrees(one.plan), "step_time_s": one.cost, "tokens_per_second": speed, "change": change}


def _best(job: Job, before: Job, plans: Iterable[OnePlan]) -> Candidate | None:
    """The fastest that fits of some plans, each with as many micro-batches as the job's batch wants."""
    ordered = sorted(dict.fromkeys(plans), key=lambda plan: (plan.policy, plan.layout or ()))
    several = [rows_of(list(alike)) for _, alike in groupby(ordered, key=lambda plan: (plan.policy, plan.layout))]
    batches, was = job.workload.global_batch, before.workload.global_batch
    scaled = (replace(rows, m=rows.m * batches // was)[(rows.m * batches) % was == 0] for rows in several)
    outcome = search([rows for rows in scaled if np.size(rows.m)], problem(job), 1)
    return outcome.best[0] if outcome.best else None


def why_not(job: Job, first: Ranked | None, every: Sequence[Place]) -> dict[str, Any]:
    """For the box in which a reader chooses degrees: a sentence for each combination, and what counting needs."""
    return {
        "degrees": list(DEGREES),
        "gpus": job.cluster.gpus,
        "batch": job.workload.global_batch,
        "first": dict(zip(DEGREES, (getattr(first.plan, name) for name in DEGREES), strict=True)) if first else {},
        "alone": alone(job),
        "says": {",".join(map(str, one.degrees)): _sentence(job, first, one) for one in every},
    }


def maps(job: Job, first: Ranked | None, every: Sequence[Place]) -> list[dict[str, Any]]:
    """A map for every two degrees of which legal plans have several: its cells row by row; tp and pp first."""
    legal = [one.degrees for one in every if one.found is not None]
    varied = [name for place, name in enumerate(DEGREES) if len({each[place] for each in legal}) > 1]
    pairs = sorted(combinations(varied, 2), key=lambda pair: pair != ("tp", "pp"))
    return [{"down": pair[0], "across": pair[1], "cells": _cells(job, first, every, pair)} for pair in pairs]


def _cells(job: Job, first: Ranked | None, every: Sequence[Place], names: tuple[str, str]) -> list[dict[str, Any]]:
    found = []
    for pair, one in paired(job, every, *names).items():
        seconds = one.found.cost if one.found and not one.short else None
        missing = one.found.need - usable_memory(job) if one.found and one.short else None
        at = " ".join(f"{name} {value}" for name, value in zip(DEGREES, one.degrees, strict=False) if value > 1)
        whole = f"{at}. {_sentence(job, first, one)}" if at and one.found else _sentence(job, first, one)
        found.append({"at": list(pair), "step_time_s": seconds, "short_by_bytes": missing, "why": whole})
    return found


def _sentence(job: Job, first: Ranked | None, one: Place) -> str:
    if one.found is None:
        return f"No: {one.why}."
    plan, limit = one.found.plan, usable_memory(job)
    how = f"v={plan.v} b={plan.b} m={plan.m} ZeRO-{plan.zero}, recompute {recompute_words(job, plan)}"
    if one.short:
        return f"Does not fit: short by {format_bytes(one.found.need - limit)} at the least ({how})."
    change = f"{one.found.cost / first.step_time - 1.0:+.1%} on plan 1" if first else ""
    behind = " (as plan 1)" if change.startswith("+0.0%") else f" ({change})" if change else ""
    used = f"{one.found.need / GIB:.1f} of {limit / GIB:.1f} GiB"
    return f"Fits: {format_seconds(one.found.cost)}{behind}, {used}, at its fastest with {how}."
