"""Predictions for cases, evaluated together where they share a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from planner.accuracy.corpus import Case
from planner.frozen import frozen
from planner.plan import INTEGERS, Num, OnePlan, Plan, largest_of
from planner.questions.train import usable_memory
from planner.training.estimate import Estimate, estimate
from planner.training.job import Job
from planner.training.moments import allocated_bytes, rank_moments, reserved_bytes


@frozen
class Prediction:
    """What the planner says of a case.

    Attributes:
        plan: the one scored, of those that the row may mean.
        step: seconds. need: bytes of the fullest rank. peak: bytes comparable with what the case's tool read.
        fits: `need` is within the accelerator. parts: of the step, seconds by name.
    """

    case: Case
    plan: OnePlan
    step: float
    need: float
    peak: float
    fits: bool
    parts: dict[str, float]


Estimator = Callable[[Job, Plan], Estimate]
"""What evaluates plans; `calibrate` and studies put their own in."""


def predict(
    cases: Sequence[Case],
    tick: Callable[[int], None] | None = None,
    estimator: Estimator = estimate,
    preset: Callable[[Job], Job] = lambda job: job,
) -> list[Prediction]:
    """A prediction for each case, in order.

    Args:
        tick: called with the number of cases done.
        preset: changes a job before it is evaluated (other constants, leave-one-out).
    """
    done: list[Prediction | None] = [None] * len(cases)
    count = 0
    for job, entries in _batches(cases):
        changed = preset(job)
        _evaluate(changed, entries, cases, done, estimator)
        count += len({index for index, _ in entries})
        if tick is not None:
            tick(count)
    return [p for p in done if p is not None]


Entries = list[tuple[int, OnePlan]]


def _batches(cases: Sequence[Case]) -> Iterator[tuple[Job, Entries]]:
    """Positions and plans of the cases of one job; the plans of one batch may differ in everything."""
    jobs: dict[int, tuple[Job, Entries]] = {}
    for index, case in enumerate(cases):
        entries = jobs.setdefault(id(case.job), (case.job, []))[1]
        entries.extend((index, plan) for plan in (case.plan, *case.alternatives))
    yield from jobs.values()


def _evaluate(
    job: Job, entries: Entries, cases: Sequence[Case], done: list[Prediction | None], estimator: Estimator
) -> None:
    """Fill in the predictions of one job; of alternatives the one that comes nearest to what was measured."""
    categories = {(plan.policy, plan.layout or ()) for _, plan in entries}
    for category in sorted(categories):
        chosen = [(i, p) for i, p in entries if (p.policy, p.layout or ()) == category]
        plans = stack([plan for _, plan in chosen])
        result = estimator(job, plans)
        read = readings(job, plans)
        for row, (index, plan) in enumerate(chosen):
            new = _prediction(job, cases[index], plan, (result, read), row, len(chosen))
            old = done[index]
            if old is None or _miss(new) < _miss(old):
                done[index] = new


def readings(job: Job, plan: Plan) -> dict[tuple[str, str], Num]:
    """Bytes as a tool reads them, of the fullest rank ("") or of pipeline rank 0 ("first"), by (tool, rank).

    PyTorch counts what tensors take or what its allocator holds; the driver sees the context, too. Where nothing is
    said, what the verdict rests on.
    """
    floats, reserve = plan.floats(), job.framework.reserve
    ranks = [found for found, _ in rank_moments(job, floats)]
    allocated = [largest_of(map(allocated_bytes, found.values())) for found in ranks]
    reserved = [reserved_bytes(job, found) for found in ranks]
    needed = [largest_of(one.total for one in found.values()) for found in ranks]
    read: dict[tuple[str, str], Num] = {}
    for tool, each, beside in (
        ("allocated", allocated, 0.0),
        ("reserved", reserved, 0.0),
        ("nvidia-smi", reserved, reserve),
        ("", needed, 0.0),
    ):
        read[tool, ""] = largest_of(each) + beside
        read[tool, "first"] = each[0] + beside
    return read


def _prediction(
    job: Job, case: Case, plan: OnePlan, found: tuple[Estimate, dict[tuple[str, str], Num]], row: int, count: int
) -> Prediction:
    result, read = found

    def at(value: Num) -> float:
        return float(np.broadcast_to(value, (count,))[row])

    need = at(result.memory.total)
    return Prediction(
        case=case,
        plan=plan,
        step=at(result.time.total),
        need=need,
        peak=at(read[case.tool, "first" if case.rank == "first" else ""]),
        fits=need <= usable_memory(job),
        parts={name: at(part) for name, part in result.time.parts.items()},
    )


def _miss(one: Prediction) -> float:
    """Distance of a prediction from its case: |log(predicted/measured)|, or 1 for a wrong verdict."""
    case = one.case
    if case.step is not None:
        return float(abs(np.log(one.step / case.step)))
    if case.peak is not None:
        return float(abs(np.log(one.peak / case.peak)))
    return float(one.fits != (case.fit == "fits"))


def stack(plans: Sequence[OnePlan]) -> Plan:
    """Plans of one policy and layout as one record of arrays."""
    columns: dict[str, Any] = {
        name: np.array([getattr(plan, name) for plan in plans], dtype=np.float64) for name in INTEGERS
    }
    return replace(plans[0], **columns)
