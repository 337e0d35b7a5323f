"""All numbers of the first plans of rankings, and what searches of the same plans share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from planner.cost.runs import at
from planner.plan import Index, Mask, Num, OnePlan, Plan, Truth, rows_of
from planner.questions.ranked import Ranked, usable_memory
from planner.search import FEW, Candidate, Problem
from planner.training.estimate import Ranks, estimate, step_time
from planner.training.job import Job
from planner.training.moments import peak_bytes
from planner.training.rule import Rule
from planner.training.rules import legal
from planner.training.throughput import throughput

UPDATE = {"optimizer", "offload"}
"""Fields of a workload that say how weights are updated, not what a pass over them does or keeps."""

Group = tuple[Job, tuple[str, ...], list[Candidate]]
"""A job, what it gives up, and some of its plans."""


def numbered(groups: Sequence[Group], sharing: Sharing | None = None) -> list[Ranked]:
    """All numbers of the plans of some groups, in their order; those of one policy, layout and batch at once.

    `sharing`: what is known of the batches that they are of.
    """
    sharing = sharing or Sharing()
    shared = [sharing.of(job) for job, _, _ in groups]
    found: dict[tuple[tuple[str, ...], OnePlan], Ranked] = {}
    several = sorted({c.plan: c for _, _, candidates in groups for c in candidates}.values(), key=_alike)
    for _, alike in groupby(several, key=_alike):
        some = list(alike)
        plans = [one.plan for one in some]
        rows: Plan = rows_of(plans) if len(plans) > 1 else plans[0]
        places: Index = np.array([one.place for one in some]) if len(plans) > 1 else some[0].place
        for (job, relaxations, candidates), known in zip(groups, shared, strict=True):
            if own := {c.plan for c in candidates}.intersection(plans):
                results = estimate(job, rows, known.ranks(rows, some[0].batch, places))
                for plan in own:
                    result = at(results, plans.index(plan))
                    tokens, mfu = throughput(job, float(result.time.total))
                    found[relaxations, plan] = Ranked(job, plan, relaxations, result, tokens, mfu)
    return [found[relaxations, c.plan] for _, relaxations, candidates in groups for c in candidates]


def _alike(one: Candidate) -> tuple[Any, ...]:
    """What rows of one record share: the policy, a layout if there is one, and the batch that they are of."""
    return one.plan.policy, one.plan.layout or (), id(one.batch)


class Batches:
    """Plans in batches, as often as they are asked for: the same records again, where they are FEW."""

    def __init__(self, made: Callable[[], Iterable[Plan]]) -> None:
        self._made = made
        self._kept: list[Plan] = []

    def __iter__(self) -> Iterator[Plan]:
        kept: list[Plan] = []
        count = 0
        for batch in self._kept or self._made():
            count += len(batch)
            kept = [*kept, batch] if count <= FEW else []
            yield batch
        self._kept = kept


class Known:
    """What is known of a batch of plans: which of them obey a rule, and what their ranks hold and do."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self.job, self.plan = job, plan
        self.obeying: dict[str, Truth] = {}

    @cached_property
    def ranks(self) -> Ranks:
        """Evaluated when asked for."""
        return Ranks(self.job, self.plan)


class Shared:
    """What jobs that differ in the UPDATE only share of plans: of the last batches that they were asked about."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._known: dict[int, Known] = {}

    def of(self, plan: Plan) -> Known:
        """What is known of it. All is forgotten when it comes to more than FEW plans."""
        if id(plan) not in self._known:
            if len(plan) + sum(len(one.plan) for one in self._known.values()) > FEW:
                self._known.clear()
            self._known[id(plan)] = Known(self._job, plan)
        return self._known[id(plan)]

    def part(self, part: Plan, batch: Plan, mask: Mask) -> None:
        """Rows of a batch share what is known of it."""
        if id(part) not in self._known:
            whole = self.of(batch).ranks
            self.of(part).ranks = Ranks(self._job, part, whole, mask)

    def ranks(self, plan: Plan, batch: Plan | None, places: Index) -> Ranks:
        """What the ranks of plans do, which lie at these places of a batch, where something is known of it."""
        known = self._known.get(id(batch))
        return Ranks(self._job, plan, known.ranks if known else None, places)

    def holds(self, rule: Rule, job: Job, batch: Plan) -> Truth:
        """Where plans obey a rule; asked of it once, unless it asks for the update."""
        if rule.update:
            return rule.holds(job, batch)
        obeying = self.of(batch).obeying
        if rule.name not in obeying:
            found = np.asarray(rule.holds(job, batch))
            obeying[rule.name] = True if found.all() else found
        return obeying[rule.name]


class Sharing(dict[str, Shared]):
    """Of each job that is asked about what it shares with others."""

    def of(self, job: Job) -> Shared:
        """What it shares with those before it."""
        same = f"{job.framework.name} {job.workload.model_dump_json(exclude=UPDATE)}"
        return self.setdefault(same, Shared(job))


def asked(job: Job, shared: Shared) -> Problem:
    """The search problem of a training job: peak memory against capacity, step time as cost."""

    def need(plan: Plan) -> Num:
        known = shared.of(plan).ranks
        return peak_bytes(job, known.plan, known.held)

    def cost(plan: Plan) -> Num:
        known = shared.of(plan).ranks
        return step_time(job, known.plan, known).total

    return Problem(lambda plan: legal(job, plan, holds=shared.holds), need, usable_memory(job), cost, shared.part)
