"""Every combination of degrees: the best plan there, or why there is none; the map of tensor and pipeline degrees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np

from planner.frozen import frozen
from planner.plan import Plan, Range, divisors
from planner.questions.numbers import numbered
from planner.questions.train import Ranked, problem
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


def degrees_of(plan: Plan) -> tuple[int, ...]:
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


def layout_map(job: Job, every: Iterable[Place]) -> tuple[Cell, ...]:
    """The map over the combinations of a job: every pair of tp and pp that some legal plan has, tp outermost."""
    first: dict[tuple[int, int], tuple[bool, float, Candidate]] = {}
    whys: dict[tuple[int, int], str] = {}
    for one in every:
        pair = one.degrees[0], one.degrees[4]
        if one.found is None:
            whys[pair] = one.why
        else:
            score = one.short, one.found.need if one.short else one.found.cost, one.found
            first[pair] = min(first.get(pair, score), score, key=lambda known: known[:2])
    numbers = numbered([(job, (), [one for _, _, one in first.values()])])
    cells = {
        pair: Cell(*pair, near=ranked) if short else Cell(*pair, best=ranked)
        for (pair, (short, _, _)), ranked in zip(first.items(), numbers, strict=True)
    }
    for pair in product(sorted({tp for tp, _ in first}), sorted({pp for _, pp in first})):
        why = arithmetic(job, pair[0] * pair[1]) or whys.get(pair, "") or _no_split(job)
        cells.setdefault(pair, Cell(*pair, why=why))
    return tuple(cells[pair] for pair in sorted(cells))


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


def _probe(job: Job, name: str, degree: int) -> Plan:
    dp = job.cluster.gpus // degree
    m = max(1, job.workload.global_batch // dp)
    return Plan(dp=dp, m=m, tp=degree) if name == "tp" else Plan(dp=dp, m=m, pp=degree)
