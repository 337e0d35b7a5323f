"""What is done for the first plans of a ranking only: their blocks are laid out, their pipelines replayed."""

from __future__ import annotations

from dataclasses import replace

from planner.questions.numbers import Shared
from planner.questions.ranked import Ranked
from planner.search import Candidate, Problem
from planner.training.job import Job
from planner.training.layouts import solved
from planner.training.rules import first_broken

FINALISTS = 3
"""Plans at the top of a ranking that are finished so."""

LONGEST_REPLAY = 60_000
"""Operations beyond which a replay takes longer than the search."""

WORTH = 0.005
"""Share of the step time that a layout of its own has to gain: it has to be told to the framework stage by stage."""


def laid_out(job: Job, found: list[Candidate], problem: Problem, shared: Shared) -> list[Candidate]:
    """The ranking with its finalists laid out, fastest first again where a layout changed their order."""
    finalists = [laid(job, one, problem, shared) for one in found[:FINALISTS]]
    return [*sorted(finalists, key=lambda one: one.cost), *found[FINALISTS:]]


def replays(ranked: list[Ranked]) -> list[Ranked]:
    """The ranking with its finalists replayed."""
    return [*map(replayed, ranked[:FINALISTS]), *ranked[FINALISTS:]]


def laid(job: Job, one: Candidate, problem: Problem, shared: Shared) -> Candidate:
    """The plan with the best layout, where its framework takes one and it is legal, fits and gains WORTH."""
    plan = solved(job, one.plan, shared.ranks(one.plan, one.batch, one.place)) if job.framework.layouts else one.plan
    if plan is one.plan or (cost := float(problem.cost(plan))) > (1.0 - WORTH) * one.cost:
        return one
    need = float(problem.need(plan))
    return one if need > problem.capacity or first_broken(job, plan) is not None else Candidate(plan, cost, need)


def replayed(ranked: Ranked) -> Ranked:
    """The plan with its pipeline replayed, unless it has no pipeline or too many operations to be done at once."""
    plan = ranked.plan
    if plan.pp == 1 or 2 * plan.pp * plan.m * plan.v > LONGEST_REPLAY:
        return ranked
    from planner.simulate import compare

    both = compare(ranked.job, plan)
    return replace(ranked, replay=(both.timeline.makespan, both.closed_form))
