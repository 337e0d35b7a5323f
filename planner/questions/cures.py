"""Options with which a job of fine-tuning that does not fit as asked would fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

from planner.questions.numbers import Shared, asked
from planner.schema.workload import Workload
from planner.search import search
from planner.training.adapters import fused
from planner.training.job import Job
from planner.training.space import Bounds, plans

LEAST_SEQ = 256
"""Tokens below which no shorter sequence is offered."""

MOST = 3
"""Options that are changed together at most."""


def cures(job: Job, bounds: Bounds) -> tuple[str, ...]:
    """Changes of the job, as options of the command line, with each of which some plan inside the bounds fits.

    As few options as do, at most MOST together; a sequence is the longest of the halves that fits. Of jobs that are no
    fine-tuning none is tried: their searches take too long for it.
    """
    if not job.tuned:
        return ()
    singles, found = list(_changes(job)), list[dict[str, Any]]()
    for count in range(1, MOST + 1):
        joined = (_joined(some) for some in combinations(singles, count))
        found = [change for change in joined if change and _fits(job, bounds, change)]
        if found:
            break
    seq = job.workload.seq // 2
    while seq >= LEAST_SEQ and not _fits(job, bounds, {"seq": seq}):
        seq //= 2
    return tuple(map(_typed, [*found, {"seq": seq}] if seq >= LEAST_SEQ else found))


def _changes(job: Job) -> Iterator[dict[str, Any]]:
    """Fields of Workload that would be other ones, beside what the documented relaxations change; cheap ones first."""
    work, experts = job.workload, {}
    if job.model.moe is not None and fused(job.model, job.framework) and not work.quantize_experts:
        experts = {"quantize_experts": True}
    if work.loss != "linear":
        yield {"loss": "linear"}
    if work.offload == "none":
        yield from ({"offload": "activations"}, {"offload": "parameters"})
    if work.method != "qlora":
        yield {"method": "qlora"} | experts
    elif experts:
        yield experts
    if job.lora and job.model.moe is not None and work.lora_targets != "no-experts":
        yield {"lora_targets": "no-experts"}


def _joined(changes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """All of them; none where two say different things of a field."""
    found: dict[str, Any] = {}
    for change in changes:
        if found.keys() & change.keys():
            return {}
        found |= change
    return found


def _typed(change: dict[str, Any]) -> str:
    """As options."""
    flags = ((f"--{name.replace('_', '-')}", value) for name, value in change.items())
    return " ".join(flag if value is True else f"{flag} {value}" for flag, value in flags)


def _fits(job: Job, bounds: Bounds, change: dict[str, Any]) -> bool:
    changed: dict[str, Any] = job.workload.model_dump() | change
    other = replace(job, workload=Workload(**changed))
    return bool(search(plans(other, bounds), asked(other, Shared(other)), 1, first_fit=True, misses=False).feasible)
