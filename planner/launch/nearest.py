"""The fewest changes of a plan that make it run, fit, or faster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from planner.frozen import frozen
from planner.plan import Num, OnePlan, Plan, Range
from planner.questions.train import Ranked, problem, rank
from planner.search import Candidate, search
from planner.training.job import Job
from planner.training.rule import Rule
from planner.training.rules import legal
from planner.training.space import Bounds, plans

SETTINGS = ("tp", "cp", "ep", "etp", "pp", "dp_replicate", "v", "b", "sp", "zero", "head", "recompute_layers")
"""What a user sets; dp, m and the schedule follow."""

POLICY = ("modules", "dispatcher", "overlap")
"""Settings that all plans of a batch share."""

DECISIVE = 1e7
"""Seconds that one change more weighs in the search: longer than any step."""


def changes(plan: Plan, reference: Plan) -> Num:
    """How many settings differ. A number, or one for each of an array of plans."""
    differ = [np.asarray(getattr(plan, name)) != getattr(reference, name) for name in SETTINGS]
    policy = float(sum(getattr(plan, name) != getattr(reference, name) for name in POLICY))
    return sum((mask.astype(float) for mask in differ), start=np.full(np.shape(plan.tp), policy))


def around(plan: OnePlan, held: Iterable[str] = ()) -> Bounds:
    """The space about a plan: its context parallel degree is kept, since none other is searched, and what is held."""
    kept = {*held, *(("cp",) if plan.cp > 1 else ())}
    return Bounds({name: Range(getattr(plan, name), getattr(plan, name)) for name in kept})


@frozen
class Change:
    """A plan some changes away."""

    count: int
    ranked: Ranked


def nearest(
    job: Job,
    plan: OnePlan,
    rules: tuple[Rule, ...] = (),
    margin: float = 0.0,
    limit: float = np.inf,
    keep: int = 3,
    held: Iterable[str] = (),
) -> list[Change]:
    """Plans that obey the rules, fit with a margin and step in less than `limit` seconds: fewest changes first.

    Among equally many changes the fastest comes first; settings that are `held` stay as they are. Where the usual
    dispatcher of experts leaves nothing the others are tried.
    """
    asked = problem(job)

    def cost(found: Plan) -> Num:
        time = asked.cost(found)
        return np.where(time <= limit, time + DECISIVE * changes(found, plan), np.inf)

    wanted = replace(
        asked, legal=lambda found: legal(job, found, rules), capacity=asked.capacity * (1.0 - margin), cost=cost
    )
    for dispatchers in (None, frozenset(job.framework.dispatchers)):
        bounds = replace(around(plan, held), dispatchers=dispatchers)
        tried = (replace(batch, layout=plan.layout) for batch in plans(job, bounds))
        found = [one for one in search(tried, wanted, keep).best if np.isfinite(one.cost)]
        if found or job.model.moe is None:
            break
    return [_change(job, plan, candidate) for candidate in found]


def _change(job: Job, plan: OnePlan, candidate: Candidate) -> Change:
    found = candidate.plan if candidate.plan.placed else replace(candidate.plan, layout=None)
    return Change(int(changes(found, plan)), rank(job, replace(candidate, plan=found)))
