"""Predictions for cases, evaluated together where they share a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from planner.accuracy.corpus import Case
from planner.accuracy.measures import split
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


def predict(
    cases: Sequence[Case], tick: Callable[[int], None] | None = None, preset: Callable[[Job], Job] = lambda job: job
) -> list[Prediction]:
    """A prediction for each case, in order.

    Args:
        tick: called with the number of cases done.
        preset: changes a job before it is evaluated (other constants, leave-one-out).
    """
    done: dict[int, Prediction] = {}
    for same in split(enumerate(cases), lambda numbered: id(numbered[1].job)).values():
        for new, index in _evaluated(preset(same[0][1].job), same):
            if index not in done or _miss(new) < _miss(done[index]):
                done[index] = new
        if tick is not None:
            tick(len(done))
    return [done[index] for index in range(len(cases))]


def _evaluated(job: Job, cases: Sequence[tuple[int, Case]]) -> Iterator[tuple[Prediction, int]]:
    """Predictions of the cases of one job, and their numbers; of a case with alternatives one for each."""
    entries = [(index, case, plan) for index, case in cases for plan in (case.plan, *case.alternatives)]
    for _, chosen in sorted(split(entries, lambda entry: (entry[2].policy, entry[2].layout or ())).items()):
        plans = stack([plan for _, _, plan in chosen])
        found = estimate(job, plans), readings(job, plans)
        for row, (index, case, plan) in enumerate(chosen):
            yield _prediction(job, case, plan, found, row, len(chosen)), index


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
    columns: dict[str, Any] = {n: np.array([getattr(plan, n) for plan in plans], dtype=np.float64) for n in INTEGERS}
    return replace(plans[0], **columns)
