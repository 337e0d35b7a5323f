"""Every deployment that a job admits: layouts times loads, as one batch of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any

import numpy as np

from planner.frozen import frozen
from planner.plan import ANY, INTEGERS, Ints, Plan, Range, divisors
from planner.serving.job import ServeJob, at_batch

LOADS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
"""Requests in flight per replica that are tried when no load is given; further ones in steps of 12.5 to 25 %."""

MOST_LOAD = 4096
"""Requests in flight per replica beyond which none is tried."""


@frozen
class ServeBounds:
    """What the options pin or bound: ranges of tp, ep, pp and dp by name; what is not named is free."""

    ranges: dict[str, Range] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Range:
        return self.ranges.get(name, ANY)


def loads() -> list[int]:
    """Requests per replica from 1 to MOST_LOAD: 1 ... 256, then 320, 384, 448, 512, 640 ..."""
    values = list(LOADS)
    while values[-1] < MOST_LOAD:
        values.append(values[-1] + 2 ** (int(np.log2(values[-1])) - 2))
    return values


def layouts(job: ServeJob, bounds: ServeBounds, replicas: bool = False) -> Plan:
    """All (tp, ep, pp, dp) that fill the cluster; with `replicas` also those that leave some of it idle.

    Unless an option says otherwise tp stays inside the scale-up domain. Without `replicas` dp is as large as fits, and
    layouts that leave accelerators idle are dropped where others do not.
    """
    rows = list(_rows(job, bounds, replicas))
    filling = [row for row in rows if max(row[0], row[1]) * row[2] * row[3] == job.cluster.gpus]
    if filling and not replicas and "dp" not in bounds.ranges:
        rows = filling
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return _batch(tp=table[:, 0], ep=table[:, 1], pp=table[:, 2], dp=table[:, 3])


def _batch(**columns: Ints) -> Plan:
    """Plans of these columns in float64; every other field stands at its default in each row."""
    rows = len(columns["tp"])
    found: dict[str, Any] = {n: columns.get(n, np.full(rows, getattr(Plan(), n))) for n in INTEGERS}
    return Plan(**found).floats()


def _rows(job: ServeJob, bounds: ServeBounds, replicas: bool) -> Iterator[tuple[int, int, int, int]]:
    model, gpus = job.model, job.cluster.gpus
    widest = gpus if "tp" in bounds.ranges else job.cluster.domain
    tps = _inside(bounds, "tp", (t for t in range(1, gpus + 1) if t <= widest and model.heads % t == 0))
    for tp in tps:
        for ep in _inside(bounds, "ep", _expert_degrees(job)):
            wide = max(tp, ep)
            for pp in _inside(bounds, "pp", (p for p in range(1, gpus // wide + 1) if _deep(job, p))):
                most = gpus // (wide * pp)
                counts = range(1, most + 1) if replicas or "dp" in bounds.ranges or most == 0 else [most]
                yield from ((tp, ep, pp, dp) for dp in bounds["dp"].keep(counts))


def _inside(bounds: ServeBounds, name: str, values: Iterable[int]) -> list[int]:
    """The values that the bounds admit; a pinned one even where it is not among them, for the rules to name."""
    kept = bounds[name].keep(values)
    chosen = bounds[name]
    if kept or name not in bounds.ranges:
        return kept
    return [chosen.low] if chosen.only is None and chosen.low == chosen.high else sorted(chosen.only or ())


def _expert_degrees(job: ServeJob) -> list[int]:
    moe = job.model.moe
    return [1] if moe is None else [e for e in divisors(moe.experts) if e <= job.cluster.gpus]


def _deep(job: ServeJob, pp: int) -> bool:
    """Depths that are tried: those that divide the layers or the GPUs."""
    return pp <= job.model.layers and (job.model.layers % pp == 0 or job.cluster.gpus % pp == 0)


def with_loads(plan: Plan, requests: Iterable[int]) -> Plan:
    """Every layout with every load: so many requests per replica, over as many micro-batches as it has stages."""
    values = np.asarray(list(requests), dtype=np.float64)
    rows = np.repeat(np.arange(len(plan)), values.size)
    return at_batch(plan[rows], np.tile(values, len(plan)))
