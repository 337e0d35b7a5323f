"""All numbers of the first plans of rankings, and what jobs that are asked about the same plans share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from planner.cost.runs import at
from planner.plan import OnePlan, Plan, rows_of
from planner.questions.ranked import Ranked
from planner.search import Candidate
from planner.training.estimate import Ranks, estimate
from planner.training.job import Job
from planner.training.throughput import throughput

UPDATE = {"optimizer", "offload"}
"""Fields of a workload that say how weights are updated, not what a pass over them does or keeps."""

Group = tuple[Job, tuple[str, ...], list[Candidate]]
"""A job, what it gives up, and some of its plans."""


def numbered(groups: Sequence[Group]) -> list[Ranked]:
    """All numbers of the plans of some groups, in their order; those of one policy at once."""
    ranks = sharing([job for job, _, _ in groups])
    found: dict[tuple[tuple[str, ...], OnePlan], Ranked] = {}
    several = sorted({c.plan: None for _, _, candidates in groups for c in candidates}, key=lambda plan: plan.policy)
    for _, alike in groupby(several, key=lambda plan: plan.policy):
        plans = list(alike)
        rows = rows_of(plans)
        for (job, relaxations, candidates), known in zip(groups, ranks, strict=True):
            if own := {c.plan for c in candidates}.intersection(plans):
                results = estimate(job, rows, known(rows))
                for plan in own:
                    result = at(results, plans.index(plan))
                    tokens, mfu = throughput(job, float(result.time.total))
                    found[relaxations, plan] = Ranked(job, plan, relaxations, result, tokens, mfu)
    return [found[relaxations, c.plan] for _, relaxations, candidates in groups for c in candidates]


def sharing(jobs: Sequence[Job]) -> list[Callable[[Plan], Ranks]]:
    """What ranks hold and do under each job; the same, found once for a batch, where only the UPDATE differs."""
    known: dict[str, Callable[[Plan], Ranks]] = {}
    return [known.setdefault(job.workload.model_dump_json(exclude=UPDATE), _latest(job)) for job in jobs]


def _latest(job: Job) -> Callable[[Plan], Ranks]:
    """`Ranks` of the job, which remembers the last batch that it was asked of."""
    last: list[Ranks] = []
    asked: list[Plan] = []

    def ranks(plan: Plan) -> Ranks:
        if not asked or asked[0] is not plan:
            asked[:], last[:] = [plan], [Ranks(job, plan)]
        return last[0]

    return ranks
