"""Every pair of tensor and pipeline degrees: the best plan there, or why there is none."""

from __future__ import annotations

from dataclasses import replace

from planner.frozen import frozen
from planner.plan import Range
from planner.questions.train import Ranked, problem, rank
from planner.search import Candidate, Outcome, layout, search
from planner.training.job import Job
from planner.training.rules import rules_of
from planner.training.space import Bounds, plans

KEEP = 200
"""Layouts that the one search over everything keeps; pairs beyond them are searched one by one."""


@frozen
class Cell:
    """One pair of degrees.

    Attributes:
        best: the fastest plan that fits; near: where none does, the one that needs least memory; both None: none is
            legal, and `why` says what is in the way.
    """

    tp: int
    pp: int
    best: Ranked | None = None
    near: Ranked | None = None
    why: str = ""


def layout_map(job: Job, bounds: Bounds) -> tuple[Cell, ...]:
    """The map of a job as asked: all combinations of the degrees that some legal plan has, tp outermost."""
    whole = search(plans(job, bounds), problem(job), KEEP)
    pairs = {(c.plan.tp, c.plan.pp) for c in (*whole.best, *whole.near)}
    fits, short = _firsts(whole.best, "cost"), _firsts(whole.near, "need")
    complete = len({layout(c.plan) for c in whole.best}) < KEEP
    found = []
    for tp in sorted({tp for tp, _ in pairs}):
        for pp in sorted({pp for _, pp in pairs}):
            if (tp, pp) in fits:
                found.append(Cell(tp, pp, rank(job, fits[tp, pp])))
            elif (tp, pp) in short and complete:
                found.append(Cell(tp, pp, near=rank(job, short[tp, pp])))
            else:
                found.append(_searched(job, bounds, tp, pp))
    return tuple(found)


def _firsts(candidates: list[Candidate], by: str) -> dict[tuple[int, int], Candidate]:
    """The least candidate of every pair."""
    ordered = sorted(candidates, key=lambda c: float(getattr(c, by)), reverse=True)
    return {(c.plan.tp, c.plan.pp): c for c in ordered}


def _searched(job: Job, bounds: Bounds, tp: int, pp: int) -> Cell:
    """One pair, searched by itself."""
    pinned = replace(bounds, ranges=dict(bounds.ranges) | {"tp": Range(tp, tp), "pp": Range(pp, pp)})
    outcome = search(plans(job, pinned), problem(job), 1)
    if outcome.best:
        return Cell(tp, pp, rank(job, outcome.best[0]))
    if outcome.near:
        return Cell(tp, pp, near=rank(job, outcome.near[0]))
    return Cell(tp, pp, why=_in_the_way(job, tp, pp, outcome))


def _in_the_way(job: Job, tp: int, pp: int, outcome: Outcome) -> str:
    """Why no plan of a pair is legal."""
    gpus, layers = job.cluster.gpus, job.model.layers
    if gpus % (tp * pp):
        return f"tp × pp = {tp * pp:,} does not divide {gpus:,} GPUs"
    if gpus // (tp * pp) > job.workload.global_batch and not outcome.plans:
        return f"{gpus // (tp * pp):,} replicas are more than the {job.workload.global_batch:,} sequences of a step"
    if not outcome.plans:
        return f"no way to split {layers} layers and {job.workload.global_batch:,} sequences so"
    worst = max(outcome.broken, key=lambda name: outcome.broken[name])
    sources = {rule.name: rule.source for rule in rules_of(job)}
    return f"breaks the rule {worst} ({sources.get(worst, '')})"
