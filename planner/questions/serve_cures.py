"""Changes of a question about deployments under which something fits."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor, log10, sqrt
from typing import TYPE_CHECKING

from planner.errors import PlannerError
from planner.questions.serve_checks import check
from planner.serving.choose import choose
from planner.serving.job import ServeJob

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


def _most_rate(question: ServeQuestion) -> float:
    """The largest rate that fits, in two digits, by halving its logarithm; 0 where not even a thousandth does."""
    high = question.job.workload.rate or 0.0
    low = high / 1024.0
    if not _bears(question, low):
        return 0.0
    for _ in range(8):
        middle = sqrt(low * high)
        low, high = (middle, high) if _bears(question, middle) else (low, middle)
    digit = 10.0 ** (floor(log10(low)) - 1)
    return floor(low / digit) * digit


def _bears(question: ServeQuestion, rate: float) -> bool:
    workload = question.job.workload.model_copy(update={"rate": rate})
    return _fits(question, replace(question.job, workload=workload))


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
