"""What one rank sends in a step, axis by axis, whatever hides it (bytes)."""

from __future__ import annotations

from collections.abc import Sequence

from planner.blocks import operators
from planner.blocks.operator import Core, Operator, Share, Traffic
from planner.blocks.record import Seeing, still
from planner.blocks.tower import seen
from planner.cost import context
from planner.cost.dispatch import ONE_COPY, distinct, reach
from planner.cost.recompute import recomputed_share
from planner.mesh import mesh
from planner.plan import Num, Plan
from planner.stages import Row, rows
from planner.training.estimate import boundary_bytes
from planner.training.job import Job
from planner.training.layer import share_of
from planner.training.memory import state_bytes
from planner.training.trade import trade
from planner.training.update import carried

PASSES = 2.0
"""Forward and backward send alike."""


def sent_bytes(job: Job, plan: Plan) -> dict[str, float]:
    """Bytes that leave the rank that sends most, per optimizer step: tp, cp, ep, pp and dp, where they are more than 1.

    A ring over n sends (n-1)/n of what it gathers or scatters, an all-reduce twice that (Patarasuk and Yuan 2009).
    Llama 3.1 70B, tp 4, 10 layers a stage, 256 micro-batches of 8,192 tokens: 4 all-reduces of 134 MB a layer, 3/2 of
    each: 2.06 TB.
    """
    plan = plan.floats()
    inside = [_inside(job, plan, row) for row in rows(job.structure, plan)]
    found = {axis: max(one[axis] for one in inside) for axis in ("tp", "cp", "ep")}
    found["pp"] = PASSES * plan.m * plan.v * boundary_bytes(job, plan)
    found["dp"] = _states(job, plan)
    wide = {"tp": plan.tp, "cp": plan.cp, "ep": plan.ep, "pp": plan.pp, "dp": plan.dp * plan.cp}
    return {axis: float(sent) for axis, sent in found.items() if wide[axis] > 1}


def _inside(job: Job, plan: Plan, row: Row) -> dict[str, Num]:
    """What a rank's blocks and ends send over tp, cp and ep."""
    share, of = share_of(job, plan), job.structure
    again = recomputed_share(plan.recompute_layers, plan.v, row.layers(of.blocks))
    found: dict[str, Num] = {"tp": 0.0, "cp": 0.0, "ep": 0.0}
    for kind, more, count in zip(of.kinds, of.repeated([again] * len(of.kinds)), row.counts, strict=True):
        ops, own = operators(kind, share), seen(kind, share)
        times = plan.m * count * (1.0 if still(kind) else PASSES + more)
        for axis, names in (("tp", ("tp", "etp")), ("ep", ("ep",))):
            found[axis] += times * sum(_sent(own, one) for op in ops for one in op.traffic if one.axis in names)
            found[axis] += plan.m * count * _modules(own, ops, names, plan.modules)
        if not isinstance(kind, Seeing):
            found["cp"] += plan.m * count * _keys(job, plan, share, ops)
    return found


def _modules(share: Share, ops: Sequence[Operator], axes: tuple[str, ...], modules: tuple[str, ...]) -> float:
    """What recomputed modules send once more."""
    return sum(_sent(share, one) for op in ops if op.within(modules) for one in op.traffic if one.axis in axes)


def _sent(share: Share, one: Traffic) -> float:
    n = float(getattr(share, one.axis))
    out = one.calls * one.bytes * (n - 1.0) / n
    if one.kind == "all_reduce":
        return float(2.0 * out)
    if one.kind == "all_to_all" or share.dispatcher == "alltoall":
        return float(one.copies * out)
    routing = (one.copies, one.groups, one.among)
    return float(out * (distinct(reach(n, routing), one.copies) if share.dispatcher in ONE_COPY else n))


def _keys(job: Job, plan: Plan, share: Share, ops: Sequence[Operator]) -> float:
    """Keys and values round the ring, with their gradients on the way back; of an all-to-all, tokens for heads."""
    kind = trade(job, plan)
    near, total = float(plan.cp if kind is None else kind.inner), 0.0
    for core in (op.work for op in ops if kind is not None and isinstance(op.work, Core)):
        ranks = context.Ranks(job.cluster, job.recipe.attention, job.kernel, share, core)
        total += 2.0 * (near - 1.0) / near * float(ranks.keys + ranks.queries)
        total += 3.0 * (float(plan.cp) / near - 1.0) * float(ranks.keys)
    return total


def _states(job: Job, plan: Plan) -> float:
    """Gradients and parameters over the ranks that share states, as `planner.training.update.data_traffic` has them."""
    each, view, held, zero = state_bytes(job), mesh(plan), carried(job, plan), plan.zero
    again = recomputed_share(plan.recompute_layers, plan.v, held.layers) if job.framework.regathers else 0.0
    gathers = plan.m * (1.0 + (1.0 + again if job.framework.reshards else 0.0)) if zero >= 3 else 1.0
    reduces = plan.m if zero >= 2 else 1.0
    copies = float(plan.dp_replicate)
    total: Num = 0.0
    for count, whole, size in (
        (held.trained, held.dense, view.group("shard").size),
        (held.trained_expert, held.expert, view.edp),
    ):
        gradient = each.gradient * count
        moved = reduces * gradient + gathers * each.gathered * (whole if zero >= 3 else count)
        total += (size - 1.0) / size * (moved if zero >= 1 else 2.0 * gradient)
        total += 2.0 * (copies - 1.0) / copies * gradient / size
    return float(total)
