"""Every combination of degrees: the best plan there, or why there is none, and the map of any two of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np

from planner.frozen import frozen
from planner.plan import OnePlan, Plan, Range, divisors
from planner.questions.train import problem
from planner.search import Candidate, search
from planner.training.job import Job
from planner.training.rules import first_broken, rules_of
from planner.training.space import Bounds, layouts, plans

DEGREES = ("tp", "cp", "ep", "etp", "pp")

KEEP = 20_000
"""Plans that the one search over everything keeps; combinations beyond them are searched one by one."""


@frozen
class Place:
    """One combination of DEGREES.

    Attributes:
        found: the fastest plan that fits; where none does (`short`), the one that needs least memory; None: none is
            legal, and `why` says what is in the way.
    """

    degrees: tuple[int, ...]
    found: Candidate | None = None
    short: bool = False
    why: str = ""


def places(job: Job, bounds: Bounds) -> tuple[Place, ...]:
    """All combinations that the search has tried, those that fit first, best first."""
    whole = search(plans(job, bounds), problem(job), KEEP)
    found: dict[tuple[int, ...], Place] = {}
    for short, ones in ((False, whole.best), (True, whole.near)):
        for one in ones:
            found.setdefault(degrees_of(one.plan), Place(degrees_of(one.plan), one, short))
    tried = dict.fromkeys((tp, cp, ep, etp, pp) for tp, cp, ep, etp, pp, _, _ in layouts(job, bounds))
    left = (_searched(job, bounds, degrees) for degrees in tried if degrees not in found)
    return (*found.values(), *left)


def degrees_of(plan: OnePlan) -> tuple[int, ...]:
    """Its DEGREES."""
    return tuple(int(getattr(plan, name)) for name in DEGREES)


def _searched(job: Job, bounds: Bounds, degrees: tuple[int, ...]) -> Place:
    """One combination, searched by itself."""
    pins = {name: Range(value, value) for name, value in zip(DEGREES, degrees, strict=True)}
    pinned = replace(bounds, ranges=dict(bounds.ranges) | pins)
    outcome = search(plans(job, pinned), problem(job), 1)
    if outcome.best or outcome.near:
        return Place(degrees, (outcome.best or outcome.near)[0], not outcome.best)
    if not outcome.plans:
        return Place(degrees, why=arithmetic(job, degrees[0] * degrees[1] * degrees[4]) or _no_split(job))
    worst = max(outcome.broken, key=lambda name: outcome.broken[name])
    return Place(degrees, why=_told(job, plans(job, pinned), worst))


def _told(job: Job, tried: Iterable[Plan], worst: str) -> str:
    """The sentence of the rule that most of some plans break first, about the first of them that does."""
    rule = next(rule for rule in rules_of(job) if rule.name == worst)
    for batch in tried:
        broken = ~np.broadcast_to(np.asarray(rule.holds(job, batch)), batch.shape)
        if broken.any():
            return f"{rule.message(job, batch[int(np.flatnonzero(broken)[0])].scalar())} ({rule.source})"
    return worst


def paired(job: Job, every: Iterable[Place], down: str, across: str) -> dict[tuple[int, int], Place]:
    """The best combination of every pair of two degrees that legal plans have; where none is legal, what is in the way.

    Best is the fastest that fits; where none fits, the one that is least short.
    """
    at = DEGREES.index(down), DEGREES.index(across)
    found: dict[tuple[int, int], Place] = {}
    for one in every:
        pair = one.degrees[at[0]], one.degrees[at[1]]
        found[pair] = min(found.get(pair, one), one, key=_worth)
    legal = [pair for pair, one in found.items() if one.found is not None]
    pairs = list(product(sorted({pair[0] for pair in legal}), sorted({pair[1] for pair in legal})))
    split = [index for index, name in enumerate((down, across)) if name in ("tp", "cp", "pp")]
    for pair in pairs:
        why = arithmetic(job, prod(pair[index] for index in split)) or _no_split(job)
        found.setdefault(pair, Place((), why=why))
    return {pair: found[pair] for pair in pairs}


def _worth(one: Place) -> tuple[bool, bool, float]:
    """Orders combinations: what fits by time, then what is short by bytes, then what is not legal."""
    if one.found is None:
        return True, True, 0.0
    return False, one.short, one.found.need if one.short else one.found.cost


def arithmetic(job: Job, split: int) -> str:
    """What counting alone says against so many accelerators for one replica; nothing where it allows them."""
    gpus, batch = job.cluster.gpus, job.workload.global_batch
    if gpus % split:
        return f"a replica of {split:,} does not divide {gpus:,} GPUs"
    if gpus // split > batch:
        return f"{gpus // split:,} replicas are more than the {batch:,} sequences of a step"
    return ""


def _no_split(job: Job) -> str:
    return f"no way to split {job.model.layers} layers and {job.workload.global_batch:,} sequences so"


def alone(job: Job) -> dict[str, dict[int, str]]:
    """Degrees that a rule forbids by themselves, with its sentence: whatever the others are."""
    gpus, found = job.cluster.gpus, {}
    for name in ("tp", "pp"):
        probes = {n: _probe(job, name, n) for n in divisors(gpus)}
        broken = {n: (rule, plan) for n, plan in probes.items() if (rule := first_broken(job, plan))}
        found[name] = {n: rule.message(job, plan) for n, (rule, plan) in broken.items() if rule.name in ALONE[name]}
    return found


ALONE = {"tp": ("heads", "kv_heads", "hidden", "ffn"), "pp": ("layers", "stages")}
"""Rules that one degree breaks."""


def _probe(job: Job, name: str, degree: int) -> OnePlan:
    dp = job.cluster.gpus // degree
    m = max(1, job.workload.global_batch // dp)
    return Plan(dp=dp, m=m, tp=degree) if name == "tp" else Plan(dp=dp, m=m, pp=degree)
