"""What options pin: the leanest plans inside, the pins that stand in the way, and the cluster sizes they admit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from math import prod
from typing import Any

from planner.plan import Range, divisors
from planner.schedules import SCHEDULES
from planner.sizing.ladder import joined, multiples, rungs, sized
from planner.training.defaults import usual_batch
from planner.training.job import Job
from planner.training.space import Bounds

POLICIES = {
    "schedule": "schedules",
    "recompute": "recompute",
    "recompute_modules": "modules",
    "dispatcher": "dispatchers",
}
"""Pins that are names, and the field of Bounds that holds each; the rest are ranges of numbers."""

KEPT = (
    *("schedule", "tp", "cp", "ep", "etp", "pp", "dp", "dp_replicate", "v", "sp", "head", "dispatcher"),
    *("expert_overlap", "b", "zero", "recompute_layers", "recompute_modules", "recompute"),
)
"""Pins in the order in which they are kept: a way to save memory is given up before a degree."""

DEGREES = ("tp", "cp", "pp", "dp")
"""Their product is the cluster."""


def pinned(bounds: Bounds) -> list[str]:
    """Names of what the bounds pin or bound, those to be kept first; modules stand for the recomputation of them."""
    names = _words(bounds) | dict(bounds.ranges)
    names |= {"recompute": None} if bounds.modules is not None else {}
    return sorted((n for n, value in names.items() if value is not None), key=lambda n: (*KEPT, n).index(n))


def _words(bounds: Bounds) -> dict[str, Any]:
    return {name: getattr(bounds, field) for name, field in POLICIES.items()}


def flags(bounds: Bounds, names: Iterable[str]) -> tuple[str, ...]:
    """Pins as a user types them: "--micro-batch 64"."""
    words = _words(bounds)
    return tuple(
        f"--{'micro-batch' if n == 'b' else n.replace('_', '-')} "
        + (",".join(sorted(words[n] or ())) if n in words else bounds[n].describe())
        for n in names
    )


def keeping(bounds: Bounds, names: Collection[str]) -> Bounds:
    """The bounds with these pins only; a context parallel degree that is not kept may be any."""
    kept = {*names, *({"recompute"} if "recompute_modules" in names else ())}
    ranges = {n: r if n in kept else Range(1) for n, r in bounds.ranges.items() if n in kept or n == "cp"}
    words = {POLICIES[name]: value for name, value in _words(bounds).items() if name in kept}
    return Bounds(ranges, **words)


def loosened(bounds: Bounds, fits: Callable[[Bounds], bool]) -> list[str]:
    """Pins that have to go so that something fits, as few as keep the rest; none when nothing helps."""
    kept: list[str] = []
    names = pinned(bounds)
    if not names or not fits(keeping(bounds, kept)):
        return []
    for name in names:
        if fits(keeping(bounds, (*kept, name))):
            kept.append(name)
    return [name for name in names if name not in kept]


def lean(bounds: Bounds) -> Bounds:
    """The leanest plans inside the bounds: one sequence at a time, fewest chunks per rank, all recomputed or nothing.

    If none of them fits, none does. What is pinned stays. Recomputing needs room for a layer, so that nothing may be
    leaner than all where a rank has few layers; a schedule of two chunks may hold less than one of one (V-Min), and of
    a pinned number of layers per chunk more chunks recompute more.
    """
    ranges, schedules, policies = dict(bounds.ranges), bounds.schedules, bounds.recompute
    known = [SCHEDULES[name] for name in SCHEDULES if schedules is None or name in schedules]
    if schedules is None or not all(one.undivided for one in known):
        ranges.setdefault("b", Range(1, 1))
    if "recompute_layers" not in ranges and any(one.takes(1) for one in known):
        ranges.setdefault("v", Range(only=frozenset(one.chunks for one in known if one.chunks)))
    if "recompute_layers" not in ranges and (policies is None or "full" in policies):
        policies = frozenset({"none", "full"}) & (policies or {"none", "full"})
    return replace(bounds, ranges=ranges, schedules=schedules, recompute=policies)


def whole(bounds: Bounds) -> int:
    """The product of the degrees that are pinned to one value: every cluster is a multiple of it."""
    return prod(r.low for name in DEGREES if (r := bounds.ranges.get(name)) is not None and r.low == r.high)


def fixes_the_size(bounds: Bounds) -> bool:
    """Whether every degree is pinned to one value; context parallelism is 1 unless asked for."""
    free = (name for name in DEGREES if bounds[name].low != bounds[name].high)
    return not any(name != "cp" or "cp" in bounds.ranges for name in free)


def larger(job: Job, bounds: Bounds, most: int) -> list[int]:
    """Sizes above the job's in whole nodes, rising, on some of which the pins may be kept."""
    base, unit = job.cluster, whole(bounds)
    found = {*rungs(base, True, most), *multiples(base, True, most, unit)}
    found |= {unit * d for d in divisors(job.workload.global_batch) if joined(base)}
    return sorted(n for n in found if base.gpus < n <= most and n % unit == 0 and n % base.node.count == 0)


def grown(job: Job, gpus: int) -> Job:
    """The job on so many accelerators; a batch that is the default of its cluster is that of the new one."""
    w = job.workload
    usual = w.global_batch == usual_batch(w.seq, job.cluster.gpus, job.tuned)
    batch = usual_batch(w.seq, gpus, job.tuned) if usual else w.global_batch
    return replace(job, cluster=sized(job.cluster, gpus), workload=w.model_copy(update={"global_batch": batch}))
