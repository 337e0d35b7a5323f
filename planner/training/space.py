"""Every plan that a job admits, as batches of arrays.

All of tp x cp x ep x pp x dp x b x sp x v x k x ZeRO x head x schedule, degrees over divisors. Rows that differ in
(v, k, ZeRO, head) only are neighbours: what depends on the others is computed once per run (`planner.cost.runs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from planner.plan import ANY, Plan, Range, divisors
from planner.stages import chunk_layers
from planner.training.job import Job
from planner.training.rule import head_worth

BLOCK = 32768
"""Rows per batch: their temporaries stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the options pin or bound; a dimension that is not named is free.

    Attributes:
        ranges: by field name of `Plan` (tp, cp, ep, pp, v, dp, b, m, sp, zero, recompute_layers, head).
        schedules: admitted names, or None for the framework's.
        recompute: admitted policies among none, selective, full, block; None for all.
    """

    ranges: dict[str, Range] = field(default_factory=dict)
    schedules: frozenset[str] | None = None
    recompute: frozenset[str] | None = None

    def __getitem__(self, name: str) -> Range:
        return self.ranges.get(name, ANY)


def plans(job: Job, bounds: Bounds) -> Iterator[Plan]:
    """All plans inside the bounds, in batches of one schedule and selective policy."""
    for schedule, selective in product(_schedules(job, bounds), _selective(job, bounds)):
        yield from _batches(_grids(job, bounds, schedule, selective), schedule, selective)


def _schedules(job: Job, bounds: Bounds) -> list[str]:
    names = job.framework.schedules
    return [n for n in names if bounds.schedules is None or n in bounds.schedules] or sorted(bounds.schedules or ())


def _unpiped(job: Job, bounds: Bounds) -> str:
    """The schedule under which plans without a pipeline are listed, once: they are the same under all that run them."""
    return min(_schedules(job, bounds), key=lambda name: {"naive": 1, "interleaved": 2}.get(name, 0))


def _selective(job: Job, bounds: Bounds) -> list[bool]:
    policies = bounds.recompute
    if policies is None:
        return [False] if job.flash else [False, True]
    return [s for s in (False, True) if (("selective" in policies) if s else bool(policies - {"selective"}))]


FIXED = ("tp", "cp", "ep", "pp", "dp", "b", "m", "sp")
INNER = ("v", "recompute_layers", "zero", "head")
Grid = tuple[tuple[int, ...], Any]
"""One value of each FIXED field, and the rows [n, 4] of INNER ones that go with it."""


def _batches(grids: Iterable[Grid], schedule: str, selective: bool) -> Iterator[Plan]:
    """Join small grids and cut large ones into blocks."""
    held: list[Grid] = []
    rows = 0
    for grid in grids:
        held.append(grid)
        rows += len(grid[1])
        if rows >= BLOCK:
            yield from _cut(held, schedule, selective)
            held, rows = [], 0
    if rows:
        yield from _cut(held, schedule, selective)


def _cut(grids: list[Grid], schedule: str, selective: bool) -> Iterator[Plan]:
    """The plans of some grids as arrays, at most BLOCK at a time."""
    lengths = [len(inner) for _, inner in grids]
    outer = np.repeat(np.array([fixed for fixed, _ in grids]).T, lengths, axis=1)
    inner = np.concatenate([inner for _, inner in grids]).T
    for start in range(0, outer.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        columns: dict[str, Any] = dict(zip(FIXED, outer[:, part], strict=True))
        columns |= zip(INNER, np.ascontiguousarray(inner[:, part]), strict=True)
        yield Plan(**columns, schedule=schedule, selective=selective)


def _grids(job: Job, bounds: Bounds, schedule: str, selective: bool) -> Iterator[Grid]:
    """One grid per (tp, cp, ep, pp, dp, b, sp): all of (v, k, ZeRO)."""
    batch = job.workload.global_batch
    for tp, cp, pp, dp, ep in layouts(job, bounds):
        if batch % dp or (pp == 1 and schedule != _unpiped(job, bounds)):
            continue
        inner = _inner(job, bounds, schedule, selective, pp, dp * cp)
        if not len(inner):
            continue
        for b in bounds["b"].keep(divisors(batch // dp)):
            m = batch // dp // b
            if m not in bounds["m"] or (schedule == "naive" and m > 1) or (schedule == "interleaved" and m % pp):
                continue
            for sp in bounds["sp"].keep((0, 1) if tp > 1 else (0,)):
                yield (tp, cp, ep, pp, dp, b, m, sp), inner


def layouts(job: Job, bounds: Bounds) -> Iterator[tuple[int, int, int, int, int]]:
    """(tp, cp, pp, dp, ep) whose product is the cluster.

    Unless an option says otherwise, tp stays inside the scale-up domain (no published run gains by leaving it), cp is
    1, and ep is 1 for dense models.
    """
    model, gpus = job.model, job.cluster.gpus
    widest = gpus if "tp" in bounds.ranges else job.cluster.domain
    tps = [d for d in bounds["tp"].keep(divisors(gpus)) if d <= widest]
    for tp in [d for d in tps if model.heads % d == 0] or tps:
        for cp in bounds["cp"].keep(divisors(gpus // tp)) if "cp" in bounds.ranges else [1]:
            for pp in bounds["pp"].keep(d for d in divisors(gpus // tp // cp) if d <= model.layers):
                dp = gpus // tp // cp // pp
                if dp in bounds["dp"]:
                    experts = divisors(model.moe.experts) if model.moe else [1]
                    for ep in bounds["ep"].keep(e for e in experts if dp * cp % e == 0):
                        yield tp, cp, pp, dp, ep


def _inner(job: Job, bounds: Bounds, schedule: str, selective: bool, pp: int, ranks: int) -> Any:
    """Rows (v, k, ZeRO stage, head) for a pipeline depth."""
    layers = job.model.layers
    zeros = bounds["zero"].keep(_zero_stages(job, pp, ranks)) or bounds["zero"].keep(range(4))
    rows = []
    for v in bounds["v"].keep(_virtual_stages(job, schedule, pp)):
        for head in bounds["head"].keep(_head_layers(job, pp, v)):
            ks = _recomputed(bounds, int(chunk_layers(layers, pp, v, head)), selective)
            rows.append(np.stack([a.ravel() for a in np.meshgrid([v], ks, zeros, [head], indexing="ij")], axis=1))
    return np.concatenate(rows) if rows else np.empty((0, 4), dtype=int)


def _virtual_stages(job: Job, schedule: str, pp: int) -> list[int]:
    """Chunks per rank: 1, or with interleaving all that leave at most the two end chunks one layer short."""
    if schedule != "interleaved":
        return [1]
    layers = job.model.layers
    allowed = 2 if job.framework.uneven_layers else 0
    return [v for v in range(2, layers // pp + 1) if -layers % (pp * v) <= allowed] if pp > 1 else []


def _head_layers(job: Job, pp: int, v: int) -> range:
    """Layers that the head may count for: up to its worth, where the framework can place layers unevenly."""
    movable = pp > 1 and v == 1 and job.framework.uneven_layers
    worth = head_worth(job) if movable else 0
    return range(worth if job.framework.counts_head else 0, worth + 1)


def _zero_stages(job: Job, pp: int, ranks: int) -> list[int]:
    deepest = 0 if ranks == 1 else job.framework.zero_with_pipeline if pp > 1 else 3
    return [z for z in job.framework.zero if z <= deepest]


def _recomputed(bounds: Bounds, chunk: int, selective: bool) -> list[int]:
    """k, layers recomputed per chunk: 0, some (block) or all (full), as the policies admit."""
    policies = bounds.recompute
    free = policies is None
    ks = [0] if free or "none" in policies or selective else []  # type: ignore[operator]
    if free or "block" in policies:  # type: ignore[operator]
        ks += range(1, chunk)
    if free or "full" in policies:  # type: ignore[operator]
        ks.append(chunk)
    return bounds["recompute_layers"].keep(ks)
