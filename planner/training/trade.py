"""How the context-parallel ranks of one plan trade keys and values: what launchers write and answers say."""

from __future__ import annotations

from typing import NamedTuple

from planner.blocks import operators
from planner.blocks.operator import Core
from planner.blocks.structure import structure
from planner.cost import context
from planner.plan import Plan
from planner.schema.workload import ContextKind
from planner.training.job import Job
from planner.training.layer import share_of


class Trade(NamedTuple):
    """The kind, and the ranks that its all-to-all joins (1: it has none)."""

    kind: ContextKind
    inner: int


def trade(job: Job, plan: Plan) -> Trade | None:
    """The kind that is fastest for the core with most work; None where nothing is traded."""
    share = share_of(job, plan.floats())
    of = structure(job.model)
    ops = [op for kind in of.kinds[: of.ends] for op in operators(kind, share) if "core_attn" in op.modules]
    cores = [op.work for op in ops if isinstance(op.work, Core)]
    if plan.cp == 1 or not cores:
        return None
    core = max(cores, key=lambda one: float(one.square_flops))
    ranks = context.Ranks(job.cluster, job.recipe.attention, job.kernel, share, core)
    first, *rest = job.contexts
    able = [first, *[kind for kind in rest if context.runs(kind, ranks)]]
    kind = min(able, key=lambda one: sum(float(p.total) for p in context.passes(one, ranks)))
    near = {"a2a": share.cp, "a2a+p2p": context.inner(ranks)}.get(kind, 1.0)
    return Trade(kind, int(near))
