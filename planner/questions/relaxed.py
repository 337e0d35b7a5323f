"""What runs of a job that does not fit: one thing given up at a time, in a documented order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from planner.masks import first_of
from planner.plan import Plan
from planner.questions.numbers import Batches, Sharing, asked, numbered
from planner.questions.ranked import Ranked, usable_memory
from planner.schema.workload import Workload
from planner.search import Outcome, search_each
from planner.training.frameworks import OPTIONS
from planner.training.job import Job
from planner.training.space import Bounds, plans

RELAXATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "adam-bf16-moments": ("16-bit Adam moments beside fp32 master weights", {"optimizer": "adam-bf16-moments"}),
    "adam-bf16": ("16-bit gradients and Adam moments, no fp32 master weights", {"optimizer": "adam-bf16"}),
    "adam-8bit": ("16-bit gradients, 8-bit Adam moments, no fp32 master weights", {"optimizer": "adam-8bit"}),
    "offload": ("optimizer states in host memory, updated by the CPU", {"offload": "optimizer"}),
    "lora": ("adapters trained on frozen 16-bit weights", {"method": "lora"}),
}
"""What is given up, in this order, when the job does not fit as asked: name -> (sentence, change of the workload)."""


def lacks(job: Job) -> bool:
    """Whether the preset's framework has no option for what is asked of it, whatever the plan."""
    return first_of(OPTIONS.get(job.framework.target or "", ()), job, Plan()) is not None


def relax(job: Job, name: str) -> Job:
    """The job with one relaxation, for the preset that stands in where the job's own framework has no option for it."""
    if job.lora and "method" in RELAXATIONS[name][1]:
        return job
    changed: dict[str, Any] = job.workload.model_dump() | RELAXATIONS[name][1]
    eased = replace(job, workload=Workload(**changed))
    return replace(eased, framework=job.instead, instead=None) if job.instead and lacks(eased) else eased


def relaxed(
    job: Job, bounds: Bounds, batches: Batches, sharing: Sharing, top: int, tick: Callable[[int], None] | None
) -> tuple[list[Ranked], dict[str, str], list[Outcome]]:
    """What runs with one relaxation at a time: grouped in the documented order, fastest first in each group.

    `batches` are the plans of the job itself, `sharing` what is known of them.
    """
    eased = {name: changed for name in RELAXATIONS if (changed := relax(job, name)).workload != job.workload}
    outcomes: dict[str, Outcome] = {}
    for framework in (job.framework, job.instead):
        names = [name for name, of in eased.items() if of.framework is framework]
        if names:
            own = batches if framework is job.framework else plans(eased[names[0]], bounds)
            problems = [asked(eased[name], sharing.of(eased[name])) for name in names]
            outcomes |= zip(names, search_each(own, problems, top, tick=tick, misses=False), strict=True)
    found = [outcomes[name] for name in eased]
    places = _share([len(outcome.best) for outcome in found], top)
    both = zip(eased.items(), found, places, strict=True)
    ranked = numbered([(of, (name,), outcome.best[:count]) for (name, of), outcome, count in both], sharing)
    dropped = {name: why for name, of in eased.items() if (why := _dropped(job, of, outcomes[name]))}
    return ranked, dropped, found


def _dropped(job: Job, eased: Job, outcome: Outcome) -> str:
    """Why a relaxation gives no plan; "" where it gives some."""
    where = "" if eased.framework is job.framework else f" on {eased.framework.name}"
    if not outcome.legal:
        return f"breaks the rule {max(outcome.broken, key=lambda rule: outcome.broken[rule], default='none')}{where}"
    short = (outcome.least - usable_memory(eased)) / 2**30
    return "" if outcome.feasible else f"short by {short:,.1f} GiB at best{where}"


def _share(sizes: list[int], top: int) -> list[int]:
    """`top` places given out in turns over groups of these sizes, so that every relaxation is seen."""
    turns = sorted((turn, group) for group, size in enumerate(sizes) for turn in range(size))[:top]
    return [sum(group == own for _, group in turns) for own in range(len(sizes))]
