"""Why options leave no legal plan: the plan that breaks fewest rules, and what has to go so that one is legal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, product
from typing import Any

import numpy as np

from planner.errors import NoLegalPlan
from planner.plan import OnePlan, Plan, Range, divisors, rows_of
from planner.questions.pins import DEGREES, flags, loosened, pinned
from planner.schedules import SCHEDULES, Schedule, offered
from planner.training.job import Job
from planner.training.policies import policies
from planner.training.rule import Rule, head_worth
from planner.training.rules import legal, rules_of
from planner.training.space import Bounds, layouts, plans

SPELLED = 8
"""Values of an option that are tried one by one where no plan of the search is inside the options."""


def no_legal_plan(job: Job, bounds: Bounds) -> NoLegalPlan:
    """The error for bounds that no rule-abiding plan meets: what the closest plan breaks, and what would be legal."""
    found = closest(job, chain(plans(job, bounds), spelled(job, bounds)))
    if found is None:
        return NoLegalPlan(f"no legal plan for {job.cluster.gpus} GPUs", cures(job, bounds, Plan()))
    plan, broken = found
    if not broken:
        pins = ", ".join(flags(bounds, pinned(bounds)))
        return NoLegalPlan(f"no legal plan for {job.cluster.gpus} GPUs is all of {pins}", cures(job, bounds, plan))
    said = [f"rule: {broken[0].name} ({broken[0].source})"]
    said += [f"also broken: {', '.join(rule.name for rule in broken[1:])}"] if broken[1:] else []
    return NoLegalPlan(f"no legal plan: {broken[0].message(job, plan)}", [*said, *cures(job, bounds, plan)])


def closest(job: Job, batches: Iterable[Plan]) -> tuple[OnePlan, list[Rule]] | None:
    """The first plan that breaks as few rules as any, and those; None without a plan."""
    rules, best, fewest = rules_of(job), None, np.inf
    for batch in batches:
        kept = [np.broadcast_to(np.asarray(rule.holds(job, batch)), batch.shape).ravel() for rule in rules]
        broken = len(rules) - np.sum(kept, axis=0)
        at = int(np.argmin(broken))
        if broken[at] < fewest:
            best, fewest = batch[at].scalar(), broken[at]
    if best is None:
        return None
    return best, [rule for rule in rules if not np.all(rule.holds(job, best))]


def spelled(job: Job, bounds: Bounds) -> Iterator[Plan]:
    """Plans that say what the options say, legal or not: what is free at its plainest, or all that the preset has."""
    asked = sorted(bounds.schedules or offered(job.framework.schedules))
    takers = [name for name in asked if any(map(SCHEDULES[name].takes, _values(bounds, "v", [1])))]
    for schedule, policy in product(takers or asked, policies(job, bounds)):
        rows = []
        for mesh in _meshes(job, bounds):
            free = _free(job, bounds, mesh, SCHEDULES[schedule])
            for values in product(*(_values(bounds, name, plain) for name, plain in free.items())):
                stated: dict[str, Any] = dict(zip(free, values, strict=True))
                plan = replace(mesh, **stated)
                rows.append(replace(plan, m=max(1, job.workload.global_batch // (plan.b * plan.dp))))
        yield replace(rows_of(rows), schedule=schedule, **policy)


def _free(job: Job, bounds: Bounds, mesh: OnePlan, schedule: Schedule) -> dict[str, list[int]]:
    """What a plan of these degrees may have where no option says."""
    moe, asked = job.model.moe, bounds.recompute
    v = schedule.usual_chunks if mesh.pp > 1 or bounds.schedules else 1
    k = 0 if asked is None or asked & {"none", "selective"} else job.model.layers // mesh.pp // v
    found = {"ep": list(divisors(moe.experts)[:2]) if moe else [1], "etp": [1], "dp_replicate": [1], "b": [1]}
    found |= {"sp": [0, 1] if mesh.tp > 1 else [0], "v": [v], "recompute_layers": [k]}
    return found | {"zero": sorted({0, *map(int, job.framework.zero)}), "head": sorted({0, head_worth(job)})}


def _meshes(job: Job, bounds: Bounds) -> list[OnePlan]:
    """Degrees as pinned, of the cluster or, where it has none, as many accelerators as they make: shallow ones first.

    Before them come those that give every replica a sequence, or lack fewest.
    """
    named = Bounds({name: kept for name, kept in bounds.ranges.items() if name in DEGREES})
    found = {(tp, cp, pp, dp) for tp, cp, _, _, pp, dp, _ in layouts(job, named)}
    stated = found or product(*(_values(bounds, name, [1]) for name in DEGREES))
    batch = job.workload.global_batch
    ordered = sorted(stated, key=lambda row: (max(1.0, row[3] / batch), row[2], row))
    return [Plan(tp=tp, cp=cp, pp=pp, dp=dp) for tp, cp, pp, dp in ordered]


def _values(bounds: Bounds, name: str, plain: list[int]) -> list[int]:
    """The first values of an option, or those given where it is free."""
    kept = bounds[name]
    if name not in bounds.ranges:
        return plain
    if kept.only is not None:
        return sorted(kept.only)[:SPELLED]
    last = kept.low + SPELLED - 1
    return list(range(kept.low, (last if kept.high is None else min(last, kept.high)) + 1))


def cures(job: Job, bounds: Bounds, plan: OnePlan) -> Iterator[str]:
    """What makes some plan legal: without some of the pins, or else with one more option."""
    gone = _gone(job, bounds)
    if gone:
        yield f"there are legal plans without {gone}"
        return
    batch, gpus, stand_in = plan.b * plan.m * plan.dp, job.cluster.gpus, job.instead
    more = job.workload.model_copy(update={"global_batch": batch})
    wider = [(f"--{name} 1..{gpus}", job, {name: Range(1, gpus)}) for name in ("cp", "tp") if name not in bounds.ranges]
    wider += [(f"--framework {stand_in.name}", replace(job, framework=stand_in), {})] if stand_in else []
    for said, other, opened in (*wider, (f"--global-batch {batch}", replace(job, workload=more), {})):
        freed = replace(bounds, ranges=bounds.ranges | opened)
        if lawful(other, freed):
            yield f"there are legal plans with {said}"
            return
        if gone := _gone(other, bounds):
            yield f"there are legal plans with {said} and without {gone}"
            return


def _gone(job: Job, bounds: Bounds) -> str:
    """Pins without which there are legal plans, as typed."""
    return " ".join(flags(bounds, loosened(bounds, lambda tried: lawful(job, tried))))


def lawful(job: Job, bounds: Bounds) -> bool:
    """Whether some plan inside the bounds obeys every rule; a degree that may be any is one nobody asks about."""
    free = replace(bounds, ranges={name: kept for name, kept in bounds.ranges.items() if kept != Range(1)})
    return any(np.any(legal(job, batch)[0]) for batch in plans(job, free))
