"""The field's rules of thumb as far as they hold, and which of them decided a plan.

docs/rules-of-thumb.md has the maps over models, clusters, links and batches from which the corrections come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from math import inf
from typing import NamedTuple

import numpy as np

from planner.catalog.yamlfile import table
from planner.frozen import frozen
from planner.plan import OnePlan, rows_of
from planner.questions.ranked import Ranked
from planner.schedules import MEGATRON, run_by, runs
from planner.stages import chunk_layers
from planner.training.estimate import estimate
from planner.training.job import Job
from planner.training.rules import first_broken

LEAST = 0.01
"""Share of a step below which a rule has decided nothing."""


class Thumb(NamedTuple):
    """A rule as it is passed on, and what is left of it."""

    said: str
    holds: str


THUMBS = {name: Thumb(**rule) for name, rule in table("questions", "thumbs.yaml").items()}


@frozen
class Decided:
    """A rule, and what breaking it costs a plan.

    Attributes:
        without: the change that breaks it, "pp=4"; slower: share by which a step, or a token, costs more time then;
            None: it does not fit.
        recomputed: it fits because it recomputes more.
    """

    rule: str
    without: str
    slower: float | None
    recomputed: bool = False

    def __str__(self) -> str:
        """ "shallow-pipeline: pp=4 costs 2.7% more, recomputing to fit"."""
        cost = "does not fit" if self.slower is None else f"costs {self.slower:.1%} more"
        return f"{self.rule}: {self.without} {cost}{', recomputing to fit' if self.recomputed else ''}"


def decided(ranked: Ranked) -> Decided | None:
    """The rule that the plan gains most by; None where it gains LEAST by none."""
    legal = (one for one in _breaking(ranked.plan) if first_broken(ranked.job, one[2]) is None)
    alike = groupby(sorted(legal, key=_policy), _policy)
    found = [one for _, changes in alike for one in _priced(ranked, list(changes))]
    first = max(found, key=lambda one: inf if one.slower is None else one.slower, default=None)
    return first if first is not None and (first.slower is None or first.slower > LEAST) else None


Change = tuple[str, str, OnePlan]
"""A rule, the change that breaks it, the plan after it."""


def _policy(change: Change) -> str:
    return change[2].schedule


def _breaking(plan: OnePlan) -> Iterator[Change]:
    """Rules with the change that breaks each; the batch and the accelerators stay as they are."""
    plain = replace(plan, head=0, layout=None)
    if plan.v > 1 and runs(MEGATRON, plan.schedule):
        yield "interleave", "v=1", replace(plain, v=1, schedule=run_by(MEGATRON))
    if plan.pp == 1 and plan.dp % 2 == 0:
        yield "shallow-pipeline", "pp=2", replace(plain, pp=2, dp=plan.dp // 2, m=plan.m * 2)
    if plan.m % 2 == 0:
        wider = replace(plain, dp=plan.dp * 2, m=plan.m // 2)
        if plan.pp % 2 == 0:
            yield "shallow-pipeline", f"pp={plan.pp // 2}", replace(wider, pp=plan.pp // 2)
        if plan.tp % 2 == 0:
            yield (
                "tensor-inside",
                f"tp={plan.tp // 2}",
                replace(wider, tp=plan.tp // 2, sp=min(plan.sp, plan.tp // 2 - 1)),
            )


def _priced(ranked: Ranked, changes: list[Change]) -> Iterator[Decided]:
    """What changes cost, with as much recomputation as each takes; those that need no more of it decide nothing."""
    job = ranked.job
    tried = [[replace(plan, recompute_layers=k) for k in _recomputed(job, plan)] for _, _, plan in changes]
    found = estimate(job, rows_of([row for rows in tried for row in rows]))
    count = sum(map(len, tried))
    fits = np.broadcast_to(found.memory.total <= ranked.capacity, count)
    times = np.where(fits, found.time.total, inf)
    end = 0
    for (rule, without, plan), rows in zip(changes, tried, strict=True):
        part, end = slice(end, end + len(rows)), end + len(rows)
        at, least = int(np.argmin(times[part])), float(np.min(times[part]))
        slower = None if least == inf else least / ranked.step_time - 1.0
        if slower is not None if plan.dp < ranked.plan.dp else plan.v < ranked.plan.v or not fits[part][0]:
            yield Decided(rule, without, slower, at > 0)


def _recomputed(job: Job, plan: OnePlan) -> range:
    """Layers of each chunk, from as many as the plan recomputes to all of them."""
    most = plan.recompute_layers if plan.modules else int(chunk_layers(job.model.layers, plan))
    return range(min(plan.recompute_layers, most), most + 1)
