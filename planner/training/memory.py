"""Peak memory of a training plan: the fullest of its pipeline ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.architecture import attention_gemms, layer_activations, matrices, moe_layers, padded_vocabulary
from planner.cost.memory import Memory, StateBytes, adam_states, sharded
from planner.cost.recompute import Kept, kept, recomputed_layers, stored
from planner.cost.runs import on_runs
from planner.plan import Num, Plan
from planner.schedules import SCHEDULES
from planner.training.job import Job
from planner.training.layer import layer_parameters
from planner.training.split import Split, split_layers


@dataclass(frozen=True, slots=True)
class Shape:
    """What memory needs to know of one layer and of the ends, on one rank.

    Attributes:
        dense, expert: parameters of a layer; embedding, head: of the ends; adapters: LoRA's, per layer.
        kept: activation bytes of a layer by policy; logits: bytes of the loss; working: of a layer's backward pass.
    """

    dense: Num
    expert: Num
    embedding: Num
    head: Num
    adapters: Num
    kept: Kept
    logits: Num
    working: Num


def shape(job: Job, selective: bool, tp: Num, cp: Num, ep: Num, sp: Num, b: Num) -> Shape:
    """Evaluate what depends on (tp, cp, ep, sp, b) only."""
    model, framework = job.model, job.framework
    tokens = b * job.workload.seq / cp
    shard = np.where(sp > 0, tp, 1.0)[()]
    columns = padded_vocabulary(model, tp) / tp
    dense, expert = layer_parameters(job, tp, ep)
    activations = layer_activations(model, tokens, float(job.workload.seq), tp, sp, job.flash)
    factor = framework.activation_factor
    norms = framework.norm_bytes * tokens * model.hidden / shard
    activations = replace(activations, norms=activations.norms + norms)
    policy = kept(activations, 2.0 * tokens * model.hidden / shard, selective)
    width = max(model.ffn, model.moe.top_k * model.moe.ffn) if model.moe else model.ffn
    widest = (matrices(model) - 1) * width / tp + 2.0 * model.hidden
    return Shape(
        dense=dense,
        expert=expert,
        embedding=columns * model.hidden + (model.context * model.hidden if model.position == "learned" else 0.0),
        head=columns * model.hidden,
        adapters=adapter_parameters(job, tp, ep),
        kept=Kept(*(factor * part for part in (policy.whole, policy.boundary, policy.working, policy.scores))),
        logits=framework.logits_bytes * tokens * (columns if framework.logits_split else columns * tp),
        working=2.0 * tokens * widest,
    )


def adapter_parameters(job: Job, tp: Num, ep: Num = 1.0) -> Num:
    """LoRA parameters of an average layer on one rank: rank * (inputs + outputs) of every linear part, routers aside.

    Of column-parallel parts (q, k, v, up, gate) the outputs are split over tp, of row-parallel ones (projection, down)
    the inputs; the other factor is copied. Llama 2 7B at rank 16: 39,976,960 (Hu et al. 2021, arXiv:2106.09685). The
    factors of MLA are taken as split.
    """
    model, rank, wide = job.model, job.workload.lora_rank, matrices(job.model)
    h, heads = model.hidden, model.heads * model.head_dim / tp
    if model.mla is None:
        attention = 3.0 * h + heads + 2.0 * model.kv_heads * model.head_dim / tp + heads + h
    else:
        attention = sum(gemm.n + gemm.k for gemm in attention_gemms(model, 1.0, 1.0).values()) / tp
    share = moe_layers(model) / model.layers
    widths = [(1.0 - share, model.ffn)]
    if model.moe is not None:
        widths.append((share * (model.moe.experts / ep + model.moe.shared_experts), model.moe.ffn))
    mlp = sum(count * ((wide - 1) * (h + f / tp) + f / tp + h) for count, f in widths)
    return rank * (attention + mlp)


def peak_memory(job: Job, plan: Plan) -> tuple[Memory, Any]:
    """Memory of the fullest pipeline rank, and which rank it is."""
    split = split_layers(job.model.layers, plan.pp, plan.head)
    first, middle, last = _candidates(job, plan, split)
    take_middle = (plan.pp > 2.0) & (middle.total > first.total)
    peak, rank = _choose(take_middle, middle, first), np.where(take_middle, 1.0 + split.short, 0.0)
    take_last = (plan.pp > 1.0) & (last.total > peak.total)
    return _choose(take_last, last, peak), np.where(take_last, plan.pp - 1.0, rank)[()]


def peak_bytes(job: Job, plan: Plan) -> Num:
    """The total of `peak_memory` alone, the same bits: what a search asks of every plan."""
    first, middle, last = _candidates(job, plan, split_layers(job.model.layers, plan.pp, plan.head))
    peak = np.where(plan.pp > 2.0, np.maximum(first.total, middle.total), first.total)
    return np.where(plan.pp > 1.0, np.maximum(peak, last.total), peak)[()]


def _candidates(job: Job, plan: Plan, split: Split) -> tuple[Memory, Memory, Memory]:
    """Memory of the only three ranks that can be the fullest.

    Rank 0 (most micro-batches in flight, embedding), the first of the interior ranks with most layers, the last
    (logits).
    """
    parts = on_runs(lambda *row: shape(job, plan.selective, *row), plan.tp, plan.cp, plan.ep, plan.sp, plan.b)
    first, middle, last = (_rank_memory(job, plan, parts, split, where) for where in ("first", "middle", "last"))
    return first, middle, last


def _choose(mask: Any, one: Memory, other: Memory) -> Memory:
    """Row by row, one record or the other."""
    pairs = zip(one.parts.values(), other.parts.values(), strict=True)
    return Memory(*(np.where(mask, x, y)[()] for x, y in pairs))


def _rank_memory(job: Job, plan: Plan, parts: Shape, split: Split, where: str) -> Memory:
    """Memory of one representative rank: "first", "middle" or "last"."""
    layers = getattr(split, where)
    rank = {"first": 0.0, "middle": 1.0 + split.short, "last": plan.pp - 1.0}[where]
    alone = np.where(plan.pp > 1.0, 0.0, 1.0)[()]
    is_first = {"first": 1.0, "middle": 0.0, "last": alone}[where]
    is_last = {"first": alone, "middle": 0.0, "last": 1.0}[where]
    dense = layers * parts.dense + is_first * parts.embedding + is_last * _head_parameters(job, plan, parts)
    weights, gradients, optimizer = _states(job, plan, parts, layers, dense)
    in_flight = SCHEDULES[plan.schedule].in_flight(plan.pp, plan.m, plan.v, rank)
    recomputed = recomputed_layers(plan.recompute_layers, plan.v, layers)
    activations = in_flight * stored(parts.kept, layers, recomputed)
    working = np.where(recomputed > 0.0, parts.kept.working, parts.kept.scores) + parts.working
    boundary = 2.0 * parts.kept.boundary * np.where(plan.pp > 1.0, 2.0, 0.0)
    return Memory(
        weights,
        gradients,
        optimizer,
        activations,
        is_last * parts.logits,
        working + boundary,
        job.framework.reserve + 0.0 * weights,
    )


def _head_parameters(job: Job, plan: Plan, parts: Shape) -> Num:
    """Head on the last rank: its own, or a copy of the tied embedding when that lives on another rank."""
    return np.where(plan.pp > 1.0, parts.head, 0.0)[()] if job.model.tied_embeddings else parts.head


def state_bytes(job: Job) -> StateBytes:
    """Bytes per trained parameter in this job."""
    return adam_states(job.workload.optimizer, job.framework.gradient_bytes)


def _states(job: Job, plan: Plan, parts: Shape, layers: Num, dense: Num) -> tuple[Num, Num, Num]:
    """Weights, gradients and optimizer states of one rank after ZeRO; experts are shared by dp*cp/ep ranks.

    ZeRO-3 gathers two layers at a time (one in use, one prefetched) in 16 bit.
    """
    each, ranks = state_bytes(job), plan.dp * plan.cp
    expert = layers * parts.expert

    def shard(per: float, stage: int, dense: Num, expert: Num) -> Num:
        return sharded(per * dense, plan.zero, stage, ranks) + sharded(per * expert, plan.zero, stage, ranks / plan.ep)

    weights = shard(each.weight, 3, dense, expert)
    if job.framework.shard_is_master and each.master and not job.lora:
        weights = np.where(plan.zero >= 3, 0.0, weights)[()]
    if job.lora:
        dense, expert = layers * parts.adapters, 0.0 * expert
        weights = weights + each.weight * dense
    gathered = np.where(plan.zero >= 3, 2.0 * each.weight * (parts.dense + parts.expert), 0.0)[()]
    on_device = 0.0 if job.workload.offload == "optimizer" else each.optimizer
    optimizer = shard(on_device + job.framework.sharded_bytes, 1, dense, expert)
    optimizer = optimizer + shard(job.framework.fixed_bytes, 3, dense, expert)
    return weights + gathered, shard(each.gradient, 2, dense, expert), optimizer
