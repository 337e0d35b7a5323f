"""One layer's forward and backward pass on one rank, and those of the embedding and the LM head (seconds)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from planner.architecture import (
    Gemm,
    Sum,
    attended,
    attention_gemms,
    elementwise_bytes,
    kv_heads_per_rank,
    matrices,
    mlp_gemms,
    moe_gemms,
    moe_layers,
    padded_vocabulary,
    score_flops,
    value_dim,
)
from planner.cost import collectives, operators
from planner.plan import Num
from planner.training.job import Job

ELEMENTWISE_KERNELS = 8.0
"""Norms, rotary embedding, activation function, residual additions: kernels per layer and pass beside the products."""

ELEMENTWISE_BACKWARD = 1.7
"""Backward traffic of element-wise work over its forward traffic: reads the gradient and the saved input."""


@dataclass(frozen=True, slots=True)
class Pass(Sum):
    """One pass over a piece of the model, per micro-batch: time on the accelerator's units and exposed traffic."""

    compute: Num
    tp_comm: Num = 0.0
    cp_comm: Num = 0.0
    ep_comm: Num = 0.0

    __array_ufunc__: ClassVar[None] = None
    # so that array * Pass comes to __rmul__ instead of an array of objects

    def __add__(self, other: Pass) -> Pass:
        return Pass(*(x + y for x, y in zip(self.parts.values(), other.parts.values(), strict=True)))

    def __rmul__(self, factor: Num) -> Pass:
        return Pass(*(factor * part for part in self.parts.values()))


@dataclass(frozen=True, slots=True)
class Piece:
    """Both passes of a layer, of the embedding or of the head.

    Attributes:
        core: forward time of the attention core, which selective recomputation runs again.
        weight: the part of the backward that computes weight gradients, which zero-bubble schedules run apart.
    """

    forward: Pass
    backward: Pass
    core: Num = 0.0
    weight: Num = 0.0


def layer(job: Job, tp: Num, cp: Num, ep: Num, sp: Num, b: Num, piped: Num = 0.0) -> Piece:
    """One average layer: matrix products + attention core + element-wise work + exposed traffic, both ways.

    A pass takes no less than the host needs to launch it (rounded maximum with the framework's host time per layer);
    `piped` is 1 inside a pipeline, whose floor some frameworks raise across nodes.
    """
    tokens = b * job.workload.seq / cp
    core_forward, core_backward = _core(job, tokens, tp, cp, b)
    forward, backward, weight = _products(job, tokens, tp, ep)
    moved = _elementwise_bytes(job, tokens, tp, sp)
    acc = job.cluster.accelerator
    forward = forward + core_forward + operators.streaming_time(acc, moved, ELEMENTWISE_KERNELS)
    backward = backward + core_backward
    backward = backward + operators.streaming_time(acc, ELEMENTWISE_BACKWARD * moved, ELEMENTWISE_KERNELS)
    accumulate = _accumulate(job, tp, ep)
    backward, weight = backward + accumulate, weight + accumulate
    tp_comm = _tensor_traffic(job, tokens, tp)
    ep_comm = _expert_traffic(job, tokens, tp, ep)
    cp_forward = np.maximum(_context_traffic(job, tokens, tp, cp) - core_forward, 0.0)
    cp_backward = np.maximum(2.0 * _context_traffic(job, tokens, tp, cp) - core_backward, 0.0)
    return Piece(
        _launched(Pass(forward, tp_comm, cp_forward, ep_comm), _floor(job, tp, piped, job.framework.host_layer, 1 / 3)),
        _launched(
            Pass(backward, tp_comm, cp_backward, ep_comm),
            _floor(job, tp, piped, job.framework.host_layer_backward, 2 / 3),
        ),
        core_forward,
        weight,
    )


def _floor(job: Job, tp: Num, piped: Num, host: float, share: float) -> Num:
    """Least time of a layer's pass: the host's launches and collective calls, or its share of the pipelined floor."""
    framework = job.framework
    calls = np.where(tp > 1.0, 2.0 * framework.host_collective, 0.0)
    across = np.where((piped > 0.0) & (tp > 1.0), float(job.cluster.nodes > 1), 0.0)
    return (host + calls + across * share * (framework.piped_floor + tp * framework.piped_floor_tp))[()]


def _launched(work: Pass, host: Num) -> Pass:
    """The pass, lengthened where the host is slower than the accelerator."""
    return work + Pass(operators.smooth_max(work.total, host) - work.total)


def _products(job: Job, tokens: Num, tp: Num, ep: Num) -> tuple[Num, Num, Num]:
    """Forward, backward and, of that, weight-gradient time of a layer's linear parts, averaged over dense and MoE."""
    model, share = job.model, moe_layers(job.model) / job.model.layers
    parts = [(1.0, attention_gemms(model, tokens, tp))]
    if share < 1:
        parts.append((1.0 - share, mlp_gemms(model, tokens, tp, model.ffn)))
    if share > 0:
        parts.append((share, moe_gemms(model, tokens, tp, ep)))
    forward, backward, weight = 0.0, 0.0, 0.0
    for count, gemms in parts:
        f, b, w = _gemms(job, gemms)
        forward, backward, weight = forward + count * f, backward + count * b, weight + count * w
    return forward, backward, weight


def _gemms(job: Job, gemms: dict[str, Gemm]) -> tuple[Num, Num, Num]:
    """Forward, backward and, of that, weight-gradient time of some products; frozen weights (LoRA) have none."""
    acc, precision = job.cluster.accelerator, job.workload.precision
    forward: Num = 0.0
    backward: Num = 0.0
    weight: Num = 0.0
    for gemm in gemms.values():
        forward = forward + operators.gemm_time(acc, precision, gemm)
        backward = backward + operators.input_gradient_time(acc, precision, gemm)
        if not job.lora:
            weight = weight + operators.weight_gradient_time(acc, precision, gemm)
    return forward, backward + weight, weight


def _core(job: Job, tokens: Num, tp: Num, cp: Num, b: Num) -> tuple[Num, Num]:
    """Forward and backward time of the attention core."""
    acc, precision, model, seq = job.cluster.accelerator, job.workload.precision, job.model, job.workload.seq
    if job.flash:
        square = score_flops(model, tokens, seq, tp)
        side, head_dim = attended(model, seq), (model.head_dim + value_dim(model)) / 2
        return (
            operators.flash_time(acc, precision, square, side, head_dim, "forward", job.workload.attention),
            operators.flash_time(acc, precision, square, side, head_dim, "backward", job.workload.attention),
        )
    core = (b * model.heads / tp, seq / cp, seq, model.head_dim, value_dim(model))
    return (
        operators.unfused_time(acc, precision, *core, "forward", job.workload.attention),
        operators.unfused_time(acc, precision, *core, "backward", job.workload.attention),
    )


def _elementwise_bytes(job: Job, tokens: Num, tp: Num, sp: Num) -> Num:
    """Bytes that a forward pass moves outside products and attention, times the framework's fusion quality."""
    shard = np.where(sp > 0, tp, 1.0)[()]
    return job.framework.elementwise * tokens * elementwise_bytes(job.model, tp, shard)


def _accumulate(job: Job, tp: Num, ep: Num) -> Num:
    """Time to add one micro-batch's weight gradients of a layer into the gradient buffer, where it is not fused."""
    if job.lora:
        return 0.0
    dense, expert = layer_parameters(job, tp, ep)
    return operators.streaming_time(job.cluster.accelerator, job.framework.accumulate * (dense + expert), 0.0)


def layer_parameters(job: Job, tp: Num, ep: Num) -> tuple[Num, Num]:
    """Parameters of one average layer on one rank: all but routed experts, and routed experts."""
    model, share = job.model, moe_layers(job.model) / job.model.layers
    dense: Num = 2.0 * model.hidden * (2.0 if model.norm == "layernorm" else 1.0)
    for gemm in attention_gemms(model, 1.0, tp).values():
        dense = dense + gemm.n * gemm.k
    for gemm in mlp_gemms(model, 1.0, tp, model.ffn).values():
        dense = dense + (1 - share) * gemm.n * gemm.k
    expert: Num = 0.0
    if model.moe is not None:
        expert = share * matrices(model) * model.hidden * model.moe.ffn / tp * model.moe.experts / ep
        for name, gemm in moe_gemms(model, 1.0, tp, ep).items():
            dense = dense + (0.0 if name.startswith("experts") else share * gemm.n * gemm.k)
    return dense, expert


def _tensor_traffic(job: Job, tokens: Num, tp: Num) -> Num:
    """Exposed tensor-parallel time of one pass: an all-reduce of 2*tokens*h bytes each behind attention and MLP.

    With sequence parallelism each is an all-gather and a reduce-scatter of the same traffic (Korthikanti 2022, 4.2.2).
    Experts split over tp gather and scatter every dispatched token, top_k times as many, and shared ones once more
    (Megatron-LM core/transformer/moe/token_dispatcher.py).
    """
    moe, share = job.model.moe, moe_layers(job.model) / job.model.layers
    behind_mlp = 1.0 - share + share * (moe.top_k + min(moe.shared_experts, 1) if moe else 0)
    group = collectives.group(job.cluster, tp, 1.0)
    once = collectives.all_reduce(group, 2.0 * tokens * job.model.hidden)
    return (1.0 + behind_mlp) * job.framework.tp_exposed * once


def _context_traffic(job: Job, tokens: Num, tp: Num, cp: Num) -> Num:
    """Ring attention: cp - 1 sends of this rank's keys and values (Liu et al. 2023, arXiv:2310.01889)."""
    model = job.model
    moved = 2.0 * tokens * (model.head_dim + value_dim(model)) * kv_heads_per_rank(model, tp)
    return collectives.ring_pass(job.cluster, collectives.group(job.cluster, cp, tp), moved)


def _expert_traffic(job: Job, tokens: Num, tp: Num, ep: Num) -> Num:
    """Dispatch and combine of one pass: two all-to-alls of 2*tokens*top_k*h/tp bytes, balanced routing, exposed."""
    moe = job.model.moe
    if moe is None:
        return 0.0
    moved = 2.0 * tokens * moe.top_k * job.model.hidden / tp
    share = moe_layers(job.model) / job.model.layers
    return 2.0 * share * collectives.all_to_all(job.cluster, collectives.group(job.cluster, ep, tp), moved)


def embedding(job: Job, tp: Num, cp: Num, sp: Num, b: Num) -> Piece:
    """Look-up of b*s/cp rows forward, their gradients backward, with one collective over tp each."""
    tokens = b * job.workload.seq / cp
    acc = job.cluster.accelerator
    moved = job.framework.elementwise * tokens * job.model.hidden * (8.0 if job.model.dropout else 4.0)
    group = collectives.group(job.cluster, tp, 1.0)
    comm = job.framework.tp_exposed * collectives.all_reduce(group, 2.0 * tokens * job.model.hidden) / 2.0
    forward = Pass(operators.streaming_time(acc, moved, 3.0), comm)
    return Piece(forward, Pass(operators.streaming_time(acc, 2.0 * moved, 3.0), comm))


def head(job: Job, tp: Num, cp: Num, b: Num) -> Piece:
    """Final product with V/tp columns and the cross-entropy over them.

    The loss streams every logit in the framework's bytes once forward and once backward.
    """
    tokens = b * job.workload.seq / cp
    acc, model = job.cluster.accelerator, job.model
    columns = padded_vocabulary(model, tp) / tp
    product_forward, product_backward, weight = _gemms(job, {"head": Gemm(tokens, columns, model.hidden)})
    loss = operators.streaming_time(acc, job.framework.logits_bytes * tokens * columns, 4.0)
    group = collectives.group(job.cluster, tp, 1.0)
    comm = job.framework.tp_exposed * collectives.all_reduce(group, 2.0 * tokens * model.hidden) / 2.0
    return Piece(Pass(product_forward + loss, comm), Pass(product_backward + loss, comm), weight=weight)
