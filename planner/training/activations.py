"""Bytes that a kind of block or end keeps of a micro-batch, by recomputation policy, and what lives in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.blocks.operator import Core, Logits, Operator, Product, Share
from planner.blocks.record import Block, Kind, Seeing
from planner.cost.losses import LOSSES, alive
from planner.cost.recompute import Kept, kept
from planner.plan import Num, Plan, largest_of
from planner.stages import present
from planner.training.adapters import saved_bytes, unfused_bytes
from planner.training.job import Job


def kept_block(job: Job, kind: Block, ops: tuple[Operator, ...], share: Share, modules: tuple[str, ...]) -> Kept:
    elements, factor = share.tokens * kind.hidden / share.shard, job.framework.activation_factor
    everything = sum(op.saved for op in ops) + job.framework.norm_bytes * elements + unfused_bytes(job, ops)
    if job.framework.gathered_inputs:
        everything = everything + (share.shard - 1.0) * sum(op.saved for op in ops if op.name == "norm")
    freed: Num = sum((op.saved for op in ops if op.within(modules)), start=0.0)
    cached = sum(op.saved for op in ops if op.name == "qkv") if job.framework.keeps_cache else 0.0
    each = kept(factor * everything, factor * freed, factor * share.activation * elements + cached)
    if not job.lora:
        return each
    beyond, inside = saved_bytes(job, ops)
    return replace(each, whole=each.whole + beyond, working=each.working + inside)


def kept_beside(job: Job, kind: Kind, ops: Sequence[Operator]) -> Kept:
    """What of a tower is no layer keeps all that it stores, whatever is recomputed; the decoder's ends keep nothing."""
    if not isinstance(kind, Seeing):
        return Kept()
    everything = job.framework.activation_factor * sum(op.saved for op in ops)
    return Kept(everything, everything)


def late_bytes(ops: Sequence[Operator], share: Share, scattered: int | None = None) -> Num:
    """Bytes that weight gradients need: m * (k + n) elements of every product with a weight, its input and gradient.

    16 * 2 * s * b * h of a GPT layer in 16 bit, beside 34 * s * b * h in all (Qi 2024, arXiv:2401.10241, 2.3). Inputs
    of `scattered` columns are kept as sequence parallelism leaves them and gathered once more for W; the gradients
    behind row-parallel products stay whole (sail-sg/zero-bubble-pipeline-parallelism
    megatron/core/tensor_parallel/layers.py): 11 * s * b * h at tp = 4.
    """
    found: Num = 0.0
    for op in ops:
        work = op.work
        if isinstance(work, Product) and work.fused:
            apart = isinstance(work.k, int) and work.k == scattered and not op.expert
            rows = np.minimum(work.m, share.tokens / share.shard) if apart else work.m
            found = found + share.operand * work.count * (rows * work.k + work.m * work.n)
    return found


def working_bytes(ops: tuple[Operator, ...], in_place: bool = False) -> Num:
    """The most that one operator's backward pass adds; that of stored scores when what follows them is gone.

    `in_place`: of a gate and its product only the latter's gradient is a tensor of its own, half of what they keep.
    """
    held: list[Num] = [0.0]
    for place, op in enumerate(ops):
        if present(op.working):
            behind = sum(one.saved for one in ops[place:]) - op.saved if isinstance(op.work, Core) else 0.0
            own = op.saved / 2.0 if in_place and op.name.endswith(" up") and not op.expert else 0.0
            held.append(op.working - behind - own)
    return largest_of(held)


def loss_bytes(job: Job, plan: Plan, ops: Sequence[Operator]) -> Num:
    """What the ends keep while the loss runs: input and output of the final norm, and logits."""
    logits = [_logits(job, plan, op.work) for op in ops if isinstance(op.work, Logits)]
    return sum((2.0 * op.saved for op in ops if op.name == "norm"), start=0.0) + sum(logits) if logits else 0.0


def _logits(job: Job, plan: Plan, work: Logits) -> Num:
    """Bytes of the logits that are alive at once in the loss; of all tp ranks' where they are gathered."""
    framework, loss = job.framework, LOSSES.get(job.workload.loss or "")
    split = framework.logits_split if loss is None or loss.split is None else loss.split
    columns = work.columns if split else work.columns * work.tp
    if loss is None:
        return _each_logit(job, plan, work) * work.rows * columns
    return alive(loss, work.rows, columns, job.model.hidden)


def _each_logit(job: Job, plan: Plan, work: Logits) -> Num:
    """Bytes per logit that are alive at once in the framework's own loss."""
    each = job.framework.logits_bytes + np.where(plan.m > 1.0, job.framework.logits_again, 0.0)
    if job.framework.logits_parallel:
        each = each + np.where(work.tp > 1.0, job.framework.logits_parallel, 0.0)
    return each
