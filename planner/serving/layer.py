"""One layer, and the LM head, of one step of inference on one rank (seconds)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from planner.architecture import (
    attended,
    attention_gemms,
    elementwise_bytes,
    kept_context,
    kv_elements,
    mlp_gemms,
    moe_gemms,
    moe_layers,
    score_flops,
    touched_experts,
    value_dim,
)
from planner.blocks.operator import Product as Gemm
from planner.cost import collectives, operators
from planner.frozen import frozen
from planner.parts import Sum
from planner.plan import Num, Plan
from planner.schema.formats import Module
from planner.serving.job import ServeJob, copies, width


@frozen
class Work(Sum):
    """Seconds of a piece of a step.

    Attributes:
        weights: reading them, at the memory's rate; kv: reading keys and values.
        compute: what products, prefill attention and element-wise work add to that.
        all_reduce: collectives over tp and ep; kernels: the fixed cost of all launches.
    """

    weights: Num = 0.0
    kv: Num = 0.0
    compute: Num = 0.0
    all_reduce: Num = 0.0
    kernels: Num = 0.0

    __array_ufunc__: ClassVar[None] = None

    def __add__(self, other: Work) -> Work:
        return Work(*(x + y for x, y in zip(self.parts.values(), other.parts.values(), strict=True)))

    def __rmul__(self, factor: Num) -> Work:
        return Work(*(factor * part for part in self.parts.values()))


@frozen
class Tokens:
    """What one step carries through a stage.

    Attributes:
        decode: sequences that grow by one token; context: tokens that each has behind it.
        prefill: prompt tokens.
    """

    decode: Num = 0.0
    context: Num = 0.0
    prefill: Num = 0.0

    @property
    def all(self) -> Num:
        """Rows of the matrix products."""
        return self.decode + self.prefill


def layer(job: ServeJob, plan: Plan, tokens: Tokens) -> Work:
    """One average layer: linear layers + attention core + element-wise work + collectives."""
    share = moe_layers(job.model) / job.model.layers
    rows = tokens.all / copies(plan)
    work = _products(job, "attention", attention_gemms(job.model, rows, plan.tp)) + _core(job, plan, tokens)
    if share < 1:
        work = work + (1.0 - share) * _products(job, "mlp", mlp_gemms(job.model, rows, plan.tp, job.model.ffn))
    if share > 0:
        work = work + share * _experts(job, plan, tokens.all)
    moved = rows * elementwise_bytes(job.model, plan.tp, 1.0)
    acc = job.cluster.accelerator
    streamed = operators.streaming_time(acc, moved, 0.0)
    small = job.engine.small_kernels * job.engine.kernel
    return work + Work(compute=streamed, all_reduce=_traffic(job, plan, rows), kernels=small)


def _products(job: ServeJob, module: Module, gemms: dict[str, Gemm]) -> Work:
    """Linear layers of one class, each with one kernel and those that scale its input."""
    total = Work()
    computed, stored = job.computed(module), job.stored(module)
    tile = job.engine.expert_tile if module == "experts" else None
    launch = job.engine.kernel * (1.0 + (job.engine.quantise if computed in ("fp8", "fp4") else 0.0))
    for gemm in gemms.values():
        weights, compute = operators.linear_time(job.cluster.accelerator, computed, gemm, stored, tile)
        total = total + Work(weights=weights, compute=compute, kernels=launch)
    return total


def _experts(job: ServeJob, plan: Plan, tokens: Num) -> Work:
    """Router, shared experts, and of the routed ones those that some token is sent to, over ep and tp.

    Each of E/ep local experts is met with the probability 1 - (1 - k/E)^m, and then by m*k/(E that are met) tokens.
    """
    model, ep = job.model, plan.ep
    assert model.moe is not None
    met = touched_experts(model, tokens)
    routed = by_class(moe_gemms(model, 1.0, width(plan) / ep, ep))["experts"]
    sent = {n: replace(g, m=tokens * model.moe.top_k / met, count=met / ep) for n, g in routed.items()}
    total = Work(kernels=job.engine.routing * job.engine.kernel)
    for module, gemms in (by_class(moe_gemms(model, tokens / copies(plan), plan.tp, 1.0)) | {"experts": sent}).items():
        total = total + _products(job, module, gemms)
    return total


def by_class(gemms: dict[str, Gemm]) -> dict[Module, dict[str, Gemm]]:
    """The products of a mixture-of-experts layer by the class whose format they have."""
    classes: tuple[Module, ...] = ("router", "shared", "experts")
    found = {c: {name: gemm for name, gemm in gemms.items() if name.startswith(c)} for c in classes}
    return {c: chosen for c, chosen in found.items() if chosen}


def _core(job: ServeJob, plan: Plan, tokens: Tokens) -> Work:
    """Attention core: keys and values of every decoding sequence read once, prompts' causal square computed."""
    model, acc, own = job.model, job.cluster.accelerator, copies(plan)
    sequences, context = tokens.decode / own, kept_context(model, tokens.context)
    cached = sequences * context * kv_elements(model, plan.tp) * job.cached
    kv, compute = operators.decode_core_time(
        acc, job.wide, cached, _decode_flops(job, plan, sequences * context), job.kernel
    )
    side = float(job.workload.fresh + 2 * job.workload.prefix)
    square = score_flops(model, tokens.prefill / own, side, plan.tp)
    head_dim = (model.head_dim + value_dim(model)) / 2
    prompt = operators.prefill_core_time(acc, job.prompted, square, attended(model, side), head_dim, job.kernel)
    return Work(kv=kv, compute=compute + prompt, kernels=job.engine.kernel)


def _decode_flops(job: ServeJob, plan: Plan, keys: Num) -> Num:
    """FLOPs of decoding sequences against `keys` cached tokens: 2*(d_qk + d_v) per head; MLA's in its latent space."""
    model = job.model
    widths = model.head_dim + value_dim(model)
    if model.mla is not None:
        widths = 2 * model.mla.kv_lora_rank + model.mla.qk_rope_dim
    return 2.0 * keys * widths * model.heads / plan.tp


def _traffic(job: ServeJob, plan: Plan, rows: Num) -> Num:
    """Collectives of one layer: an all-reduce of 2*m*h bytes behind attention and one behind the feed-forward part.

    Where attention is copied (ep > tp), tokens travel to their experts and back instead: two all-to-alls for the MoE
    layers, of 2*m*h bytes to each of the n*(1 - (1 - 1/n)^top_k) ranks that top_k experts, drawn alike, lie on.
    """
    model, cluster, engine = job.model, job.cluster, job.engine
    group = collectives.group(cluster, plan.tp, 1.0)
    once = collectives.small_all_reduce(cluster, group, 2.0 * rows * model.hidden, engine.peer, engine.collective)
    if model.moe is None:
        return 2.0 * once
    wide = collectives.group(cluster, width(plan), 1.0)
    ranks = width(plan)
    met = ranks * (1.0 - np.power(1.0 - 1.0 / ranks, float(model.moe.top_k)))
    sent = 2.0 * rows * met * model.hidden / plan.tp
    exchange = 2.0 * engine.collective * collectives.all_to_all(cluster, wide, sent)
    share = moe_layers(model) / model.layers
    behind = np.where(copies(plan) > 1.0, share * exchange + (1.0 - share) * once, once)[()]
    return once + behind


def head(job: ServeJob, plan: Plan, sequences: Num) -> Work:
    """LM head in 16 bit with V/tp columns for one token per sequence, and one all-gather of the logits."""
    rows = sequences / copies(plan)
    gemm = Gemm(rows, job.model.vocab / plan.tp, job.model.hidden)
    weights, compute = operators.linear_time(job.cluster.accelerator, job.wide, gemm, 2.0)
    group = collectives.group(job.cluster, plan.tp, 1.0)
    logits = 2.0 * rows * job.model.vocab
    gather = collectives.small_all_reduce(job.cluster, group, logits / 2.0, job.engine.peer, job.engine.collective)
    return Work(weights=weights, compute=compute, all_reduce=gather, kernels=job.engine.kernel)
