"""What is done for the first plans of a ranking only: their blocks are laid out, their pipelines replayed."""

from __future__ import annotations

from dataclasses import replace

from planner.questions.ranked import Ranked
from planner.training.estimate import estimate
from planner.training.layouts import solved
from planner.training.rules import first_broken
from planner.training.throughput import throughput

FINALISTS = 3
"""Plans at the top of a ranking that are finished so."""

LONGEST_REPLAY = 60_000
"""Operations beyond which a replay takes longer than the search."""

WORTH = 0.005
"""Share of the step time that a layout of its own has to gain: it has to be told to the framework stage by stage."""


def laid_out(ranked: list[Ranked], capacity: float) -> list[Ranked]:
    """The ranking with its finalists laid out, fastest first again where a layout changed their order."""
    found = [laid(one, capacity) for one in ranked[:FINALISTS]]
    if any(new is not old for new, old in zip(found, ranked, strict=False)):
        found.sort(key=lambda one: one.step_time)
    return [*found, *ranked[FINALISTS:]]


def replays(ranked: list[Ranked]) -> list[Ranked]:
    """The ranking with its finalists replayed."""
    return [*map(replayed, ranked[:FINALISTS]), *ranked[FINALISTS:]]


def laid(ranked: Ranked, capacity: float) -> Ranked:
    """The plan with the best layout, where its framework takes one and it is legal, fits and gains WORTH."""
    job = ranked.job
    plan = solved(job, ranked.plan) if job.framework.layouts else ranked.plan
    if plan is ranked.plan:
        return ranked
    now = estimate(job, plan)
    slower = float(now.time.total) > (1.0 - WORTH) * ranked.step_time
    if slower or float(now.memory.total) > capacity or first_broken(job, plan) is not None:
        return ranked
    tokens, mfu = throughput(job, float(now.time.total))
    return replace(ranked, plan=plan, estimate=now, tokens_per_second=tokens, mfu=mfu)


def replayed(ranked: Ranked) -> Ranked:
    """The plan with its pipeline replayed, unless it has no pipeline or too many operations to be done at once."""
    plan = ranked.plan
    if plan.pp == 1 or 2 * plan.pp * plan.m * plan.v > LONGEST_REPLAY:
        return ranked
    from planner.simulate import compare

    both = compare(ranked.job, plan)
    return replace(ranked, replay=(both.timeline.makespan, both.closed_form))
