"""Peak memory of a training plan: the fullest of its pipeline ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.blocks import operators
from planner.blocks.operator import Logits, Operator, Product, Share
from planner.blocks.record import Block, Kind
from planner.blocks.structure import structure
from planner.cost.memory import Memory, StateBytes, adam_states, sharded
from planner.cost.recompute import Kept, kept, recomputed_share
from planner.cost.runs import on_runs
from planner.mesh import mesh
from planner.plan import Num, Plan
from planner.schedules import SCHEDULES
from planner.stages import Row, rows
from planner.training.job import Job
from planner.training.layer import columns, parameters_of, share_of


@dataclass(frozen=True, slots=True)
class Held:
    """What memory needs to know of one block or end on one rank.

    Attributes:
        dense, expert: parameters; adapters: LoRA's.
        kept: activation bytes by policy; logits: bytes of the loss; working: of its backward pass.
    """

    dense: Num
    expert: Num
    adapters: Num
    kept: Kept
    logits: Num
    working: Num


def held_kinds(job: Job, plan: Plan) -> tuple[Held, ...]:
    """Every kind of the model's structure, evaluated once per run of equal shares."""
    of = structure(job.model)

    def each(*row: Num) -> tuple[Held, ...]:
        return tuple(held(job, kind, share_of(job, *row), plan.selective) for kind in of.kinds)

    return on_runs(each, *columns(plan))


def held(job: Job, kind: Kind, share: Share, selective: bool) -> Held:
    """Sums over the operators of one kind. Activations are those of blocks, times the framework's factor."""
    ops = operators(kind, share)
    dense, expert = parameters_of(ops)
    policy = _kept(job, kind, ops, share, selective) if isinstance(kind, Block) else Kept()
    logits: Num = sum((_logits(job, op.work) for op in ops if isinstance(op.work, Logits)), start=0.0)
    return Held(dense, expert, adapter_parameters(ops, job.workload.lora_rank), policy, logits, _working(ops))


def _kept(job: Job, kind: Block, ops: tuple[Operator, ...], share: Share, selective: bool) -> Kept:
    elements, factor = share.tokens * kind.hidden / share.shard, job.framework.activation_factor
    everything = sum(op.saved for op in ops) + job.framework.norm_bytes * elements
    scores = sum(op.saved for op in ops if "core_attn" in op.modules and not share.flash)
    return kept(factor * everything, factor * scores, factor * share.activation * elements, selective)


def _working(ops: tuple[Operator, ...]) -> Num:
    largest: Num = 0.0
    for op in ops:
        largest = np.maximum(largest, op.working)
    return largest


def _logits(job: Job, work: Logits) -> Num:
    """Bytes of the logits that are alive at once in the loss; of all tp ranks' where the framework gathers them."""
    columns = work.columns if job.framework.logits_split else work.columns * work.tp
    return job.framework.logits_bytes * work.rows * columns


def adapter_parameters(ops: Sequence[Operator], rank: int) -> Num:
    """LoRA parameters on one rank: rank * (inputs + outputs) of every linear part, router and head aside.

    Of column-parallel parts (q, k, v, up, gate) the outputs are split over tp, of row-parallel ones (projection, down)
    the inputs; the other factor is copied. Llama 2 7B at rank 16: 39,976,960 (Hu et al. 2021, arXiv:2106.09685).
    """
    works = [op.work for op in ops if isinstance(op.work, Product) and op.work.fused]
    return rank * sum((w.count * (w.fused * w.k + w.n) for w in works), start=0.0)


def all_adapters(job: Job) -> float:
    """LoRA parameters of the whole model."""
    of, share = structure(job.model), Share(1.0, 1.0)
    each = [adapter_parameters(operators(kind, share), job.workload.lora_rank) for kind in of.kinds]
    return float(sum(each[kind] for kind in of.order))


def peak_memory(job: Job, plan: Plan) -> tuple[Memory, Any]:
    """Memory of the fullest pipeline rank, and which rank it is: the maximum over all of them."""
    peak: Memory | None = None
    fullest: Any = 0.0
    for memory, rank in rank_memories(job, plan):
        if peak is None:
            peak, fullest = memory, rank
            continue
        more = memory.total > peak.total
        peak, fullest = _choose(more, memory, peak), np.where(more, rank, fullest)[()]
    assert peak is not None
    return peak, fullest


def rank_memories(job: Job, plan: Plan) -> list[tuple[Memory, Any]]:
    """Memory of the fullest of each row of equal ranks, and which it is, from the first rank on."""
    kinds = held_kinds(job, plan)
    return [_row_memory(job, plan, kinds, row) for row in rows(structure(job.model), plan)]


def _choose(mask: Any, one: Memory, other: Memory) -> Memory:
    """Row by row, one record or the other."""
    pairs = zip(one.parts.values(), other.parts.values(), strict=True)
    return Memory(*(np.where(mask, x, y)[()] for x, y in pairs))


def _row_memory(job: Job, plan: Plan, kinds: tuple[Held, ...], row: Row) -> tuple[Memory, Any]:
    """Memory of that of equal ranks which keeps most micro-batches in flight: the first of them, or the last."""
    schedule, ends = SCHEDULES[plan.schedule], (row.first, row.first + np.maximum(row.ranks - 1.0, 0.0))
    early, late = (schedule.in_flight(plan.pp, plan.m, plan.v, rank) for rank in ends)
    rank = np.where(late > early, ends[1], ends[0])[()]
    layers = row.layers(structure(job.model).blocks)
    again = recomputed_share(plan.recompute_layers, plan.v, layers)
    each = [one.kept.whole + again * (one.kept.boundary - one.kept.whole) for one in kinds]
    working = row.largest([np.where(again > 0.0, one.kept.working, one.kept.scores) + one.working for one in kinds])
    boundary = 2.0 * kinds[0].kept.boundary * np.where(plan.pp > 1.0, 2.0, 0.0)
    weights, gradients, optimizer = _states(job, plan, kinds, row)
    memory = Memory(
        weights * schedule.stashed(plan.pp, plan.m, plan.v, rank),
        gradients,
        optimizer,
        np.maximum(early, late) * row.sum(each),
        row.sum([one.logits for one in kinds]),
        working + boundary,
        job.framework.reserve + 0.0 * weights,
    )
    return memory, rank


def state_bytes(job: Job) -> StateBytes:
    """Bytes per trained parameter in this job."""
    return adam_states(job.workload.optimizer, job.framework.gradient_bytes)


def _states(job: Job, plan: Plan, kinds: tuple[Held, ...], row: Row) -> tuple[Num, Num, Num]:
    """Weights, gradients and optimizer states of one rank after ZeRO: over dp_shard*cp ranks, of experts over edp.

    ZeRO-3 gathers two layers at a time (one in use, one prefetched) in 16 bit.
    """
    each, view = state_bytes(job), mesh(plan)
    ranks, expert_ranks = view.group("shard").size, view.edp
    dense, expert = row.sum([one.dense for one in kinds]), row.sum([one.expert for one in kinds])

    def shard(per: float, stage: int, dense: Num, expert: Num) -> Num:
        return sharded(per * dense, plan.zero, stage, ranks) + sharded(per * expert, plan.zero, stage, expert_ranks)

    weights = shard(each.weight, 3, dense, expert)
    if job.framework.shard_is_master and each.master and not job.lora:
        weights = np.where(plan.zero >= 3, 0.0, weights)[()]
    if job.lora:
        dense, expert = row.sum([one.adapters for one in kinds]), 0.0 * expert
        weights = weights + each.weight * dense
    largest = row.largest([one.dense + one.expert for one in kinds[: structure(job.model).blocks]])
    gathered = np.where(plan.zero >= 3, 2.0 * each.weight * largest, 0.0)[()]
    on_device = 0.0 if job.workload.offload == "optimizer" else each.optimizer
    optimizer = shard(on_device + job.framework.sharded_bytes, 1, dense, expert)
    optimizer = optimizer + shard(job.framework.fixed_bytes, 3, dense, expert)
    return weights + gathered, shard(each.gradient, 2, dense, expert), optimizer
