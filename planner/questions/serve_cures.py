"""Changes of a question about deployments under which something fits."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor, log10
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import PlannerError
from planner.questions.serve_checks import check
from planner.serving.choose import carries, choose
from planner.serving.job import ServeJob
from planner.serving.objective import OBJECTIVES

if TYPE_CHECKING:
    from planner.questions.serve import ServeQuestion


def cures(question: ServeQuestion) -> tuple[str, ...]:
    """Changes of the question under which something fits: fewer requests, smaller numbers, looser service levels."""
    job, w = question.job, question.job.workload
    found = []
    if w.users is not None and (most := _most_users(question)):
        found.append(f"--{'batch' if question.together else 'users'} {most}")
    if w.rate is not None and (rate := _most_rate(question)):
        found.append(f"--rate {rate:g}")
    narrower = ({"weights": "fp8"}, {"weights": "int8"}, {"weights": "int4"}, *([{"kv": "fp8"}] * job.caches("fp8")))
    for changes in narrower:
        changed = replace(job, workload=w.model_copy(update=changes))
        if w.model_dump() != changed.workload.model_dump() and _possible(changed) and _fits(question, changed):
            found.append(" ".join(f"--{k} {v}" for k, v in changes.items()))
    for name in ("ttft", "tpot"):
        loose = replace(job, workload=w.model_copy(update={name: None}))
        best = choose(loose, question.bounds, question.objective, question.together).ranked
        if getattr(w, name) is not None and best:
            least = min(float(getattr(option, name)) for option in best)
            found.append(f"--{name} {ceil(1e3 * least)}ms")
    return tuple(found)


def _possible(job: ServeJob) -> bool:
    try:
        check(job)
    except PlannerError:
        return False
    return True


def _fits(question: ServeQuestion, job: ServeJob) -> bool:
    return bool(choose(job, question.bounds, question.objective, question.together).ranked)


TRIED = 24
"""Rates that are tried at once, from a thousandth on, and once more between the largest that fits and the next."""


def _most_rate(question: ServeQuestion) -> float:
    """The largest rate that fits, in two digits; 0 where not even a thousandth does."""
    high = question.job.workload.rate or 0.0
    low, counts = high / 1024.0, OBJECTIVES[question.objective].counts
    for _ in range(2):
        tried = np.geomspace(low, high, TRIED)
        good = np.flatnonzero(carries(question.job, question.bounds, tried, counts))
        if not good.size:
            return 0.0
        low, high = float(tried[good[-1]]), float(tried[min(good[-1] + 1, TRIED - 1)])
    digit = 10.0 ** (floor(log10(low)) - 1)
    return floor(low / digit) * digit


def _most_users(question: ServeQuestion) -> int:
    """The largest load that fits, by halving; 0 where not even one request does."""
    low, high = 0, question.job.workload.users or 0
    while high - low > 1:
        middle = (low + high) // 2
        changed = question.job.workload.model_copy(update={"users": middle})
        if _fits(question, replace(question.job, workload=changed)):
            low = middle
        else:
            high = middle
    return low
