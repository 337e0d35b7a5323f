"""All numbers of the first plans of rankings, and what jobs that are asked about the same plans share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from planner.cost.runs import at
from planner.plan import OnePlan, Plan, Truth, rows_of
from planner.questions.ranked import Ranked
from planner.search import Candidate
from planner.training.estimate import Ranks, estimate
from planner.training.job import Job
from planner.training.rule import Rule
from planner.training.throughput import throughput

UPDATE = {"optimizer", "offload"}
"""Fields of a workload that say how weights are updated, not what a pass over them does or keeps."""

Group = tuple[Job, tuple[str, ...], list[Candidate]]
"""A job, what it gives up, and some of its plans."""


def numbered(groups: Sequence[Group]) -> list[Ranked]:
    """All numbers of the plans of some groups, in their order; those of one policy at once."""
    shared = sharing([job for job, _, _ in groups])
    found: dict[tuple[tuple[str, ...], OnePlan], Ranked] = {}
    several = sorted({c.plan: None for _, _, candidates in groups for c in candidates}, key=lambda plan: plan.policy)
    for _, alike in groupby(several, key=lambda plan: plan.policy):
        plans = list(alike)
        rows = rows_of(plans)
        for (job, relaxations, candidates), known in zip(groups, shared, strict=True):
            if own := {c.plan for c in candidates}.intersection(plans):
                results = estimate(job, rows, known.ranks(rows))
                for plan in own:
                    result = at(results, plans.index(plan))
                    tokens, mfu = throughput(job, float(result.time.total))
                    found[relaxations, plan] = Ranked(job, plan, relaxations, result, tokens, mfu)
    return [found[relaxations, c.plan] for _, relaxations, candidates in groups for c in candidates]


class Shared:
    """What jobs that differ in the UPDATE only share of the last batch of plans that they were asked about."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ranks: Ranks | None = None
        self._asked: Plan | None = None
        self._batch: Plan | None = None
        self._said: dict[str, Truth] = {}

    def ranks(self, plan: Plan) -> Ranks:
        """What its ranks hold and do."""
        if self._ranks is None or self._asked is not plan:
            self._asked, self._ranks = plan, Ranks(self._job, plan)
        return self._ranks

    def holds(self, rule: Rule, job: Job, batch: Plan) -> Truth:
        """Where plans obey a rule; asked of it once, unless it asks for the update."""
        if rule.update:
            return rule.holds(job, batch)
        if self._batch is not batch:
            self._batch, self._said = batch, {}
        if rule.name not in self._said:
            obeys = np.asarray(rule.holds(job, batch))
            self._said[rule.name] = True if obeys.all() else obeys
        return self._said[rule.name]


def sharing(jobs: Sequence[Job]) -> list[Shared]:
    """Of each job what it shares with those before it."""
    known: dict[str, Shared] = {}
    return [known.setdefault(job.workload.model_dump_json(exclude=UPDATE), Shared(job)) for job in jobs]
