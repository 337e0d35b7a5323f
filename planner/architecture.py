"""What a transformer holds and does, by component: parameters, FLOPs, activation bytes.

Everything here is arithmetic on the model's shape; hardware enters in `planner.cost`. Letters as in docs/notation.md:
L layers, h hidden, f feed-forward width, a heads, g key/value heads, d head size, V vocabulary, s sequence, b
micro-batch. `tokens` is b*s/cp, the tokens of one micro-batch on one rank.
"""

from __future__ import annotations

import numpy as np

from planner.blocks.operator import Product as Gemm
from planner.plan import Num
from planner.schema.model import Model

VOCABULARY_MULTIPLE = 128
"""Megatron pads the vocabulary to a multiple of 128*tp (--make-vocab-size-divisible-by, training/tokenizer)."""


def moe_layers(model: Model) -> int:
    """How many of the L layers are mixture-of-experts."""
    return -(-(model.layers - model.moe.dense_layers) // model.moe.every) if model.moe else 0


def matrices(model: Model) -> int:
    """Matrices of one feed-forward part: 3 when gated (gate, up, down), else 2."""
    return 3 if model.mlp == "glu" else 2


def attention_parameters(model: Model) -> int:
    """Parameters of one layer's attention: q, k, v, output and their biases; or the MLA factors.

    MHA/GQA: h*a*d + 2*h*g*d + a*d*h. MLA: DeepSeek-V2 (arXiv:2405.04434), section 2.1, with its two inner norms.
    """
    h, a, g, d = model.hidden, model.heads, model.kv_heads, model.head_dim
    if model.mla is None:
        bias = {"none": 0, "qkv": (a + 2 * g) * d, "all": (a + 2 * g) * d + h}[model.bias]
        return h * d * (a + 2 * g) + a * d * h + bias
    mla = model.mla
    qk = mla.qk_nope_dim + mla.qk_rope_dim
    query = h * a * qk if mla.q_lora_rank is None else mla.q_lora_rank * (h + 1 + a * qk)
    latent = h * (mla.kv_lora_rank + mla.qk_rope_dim) + mla.kv_lora_rank
    return query + latent + mla.kv_lora_rank * a * (mla.qk_nope_dim + mla.v_head_dim) + a * mla.v_head_dim * h


def mlp_parameters(model: Model, width: int) -> int:
    """Parameters of one feed-forward part of the given width: matrices*h*width and biases."""
    bias = (matrices(model) - 1) * width + model.hidden if model.bias == "all" else 0
    return matrices(model) * model.hidden * width + bias


def padded_vocabulary(model: Model, tp: Num) -> Num:
    """V rounded up to a multiple of 128*tp: 128,256 stays at tp=1 and becomes 129,024 at tp=8."""
    multiple = VOCABULARY_MULTIPLE * tp
    return np.ceil(model.vocab / multiple) * multiple


def kv_heads_per_rank(model: Model, tp: Num) -> Num:
    """Key/value heads that one tensor-parallel rank holds: g/tp, at least one (copied when tp > g)."""
    return np.maximum(model.kv_heads / tp, 1.0)


def attention_gemms(model: Model, tokens: Num, tp: Num) -> dict[str, Gemm]:
    """The matrix products of one layer's attention on one tensor-parallel rank, without the attention core."""
    h, a, d = model.hidden, model.heads, model.head_dim
    if model.mla is None:
        width = a * d / tp + 2 * d * kv_heads_per_rank(model, tp)
        return {"qkv": Gemm(tokens, width, h), "projection": Gemm(tokens, h, a * d / tp)}
    mla = model.mla
    qk = mla.qk_nope_dim + mla.qk_rope_dim
    query = (
        {"query": Gemm(tokens, a * qk / tp, h)}
        if mla.q_lora_rank is None
        else {"query down": Gemm(tokens, mla.q_lora_rank, h), "query up": Gemm(tokens, a * qk / tp, mla.q_lora_rank)}
    )
    return query | {
        "kv down": Gemm(tokens, mla.kv_lora_rank + mla.qk_rope_dim, h),
        "kv up": Gemm(tokens, a * (mla.qk_nope_dim + mla.v_head_dim) / tp, mla.kv_lora_rank),
        "projection": Gemm(tokens, h, a * mla.v_head_dim / tp),
    }


def mlp_gemms(model: Model, tokens: Num, tp: Num, width: float) -> dict[str, Gemm]:
    """The matrix products of a dense feed-forward part of the given width on one tensor-parallel rank."""
    up = (matrices(model) - 1) * width / tp
    return {"mlp up": Gemm(tokens, up, model.hidden), "mlp down": Gemm(tokens, model.hidden, width / tp)}


def moe_gemms(model: Model, tokens: Num, tp: Num, ep: Num) -> dict[str, Gemm]:
    """The matrix products of one MoE layer on one rank, routing balanced: experts/ep groups of tokens*top_k*ep/experts.

    Experts are split over ep ranks and, inside, over tp like a dense part (Megatron's default: expert tensor
    parallelism equals tp).
    """
    moe = model.moe
    assert moe is not None
    local, group = moe.experts / ep, tokens * moe.top_k * ep / moe.experts
    width = moe.ffn / tp
    gemms = {
        "router": Gemm(tokens, moe.experts, model.hidden),
        "experts up": Gemm(group, (matrices(model) - 1) * width, model.hidden, local),
        "experts down": Gemm(group, model.hidden, width, local),
    }
    if moe.shared_experts:
        shared = mlp_gemms(model, tokens, tp, moe.ffn * moe.shared_experts)
        gemms |= {f"shared {name}": gemm for name, gemm in shared.items()}
    return gemms


def attended(model: Model, seq: float) -> float:
    """Side of the causal square with as many scores as a layer computes: s, or 2*w - w*w/s for a window of w < s.

    A causal window holds s*w - w*w/2 pairs of the s*s/2 that full attention has. Mistral 7B, w = 4096 at s = 8192:
    2*4096 - 2048 = 6144. Averaged over windowed and full layers.
    """
    if model.window is None or model.window >= seq:
        return seq
    full = 1 / model.window_every if model.window_every else 0.0
    return full * seq + (1 - full) * (2.0 * model.window - model.window * model.window / seq)


def value_dim(model: Model) -> int:
    """Width of one head's value: d, or MLA's own."""
    return model.mla.v_head_dim if model.mla else model.head_dim


def score_flops(model: Model, tokens: Num, seq: float, tp: Num) -> Num:
    """FLOPs of both products of the attention core over the full square, forward: 2*tokens*s*(d_qk + d_v)*a/tp.

    A causal flash kernel does half of them. An unfused one does not skip what a window masks (`operators`).
    """
    width = model.head_dim + value_dim(model)
    return 2.0 * tokens * attended(model, seq) * width * model.heads / tp


def elementwise_bytes(model: Model, tp: Num, shard: Num) -> Num:
    """Bytes per token that one layer moves outside products and attention core, ideally fused.

    Norms 8*h, dropout-add of both residuals 16*h (9.6*h without masks), activation function 6*f gated or 4*f, rotation
    and split of q, k, v 4*(a + 2*g)*d; `shard` divides what sequence parallelism shards, tp the rest.
    """
    residual = (8.0 + (16.0 if model.dropout else 9.6)) * model.hidden / shard
    width = (6.0 if model.mlp == "glu" else 4.0) * mean_ffn(model) / tp
    heads = 4.0 * model.head_dim * (model.heads / tp + 2.0 * kv_heads_per_rank(model, tp))
    return residual + width + heads


def mean_ffn(model: Model) -> float:
    """Feed-forward width that a token meets, averaged over dense and MoE layers."""
    share = moe_layers(model) / model.layers
    routed = model.moe.ffn * (model.moe.top_k + model.moe.shared_experts) if model.moe else 0
    return (1 - share) * model.ffn + share * routed


def kv_elements(model: Model, tp: Num) -> Num:
    """Elements that one token leaves in one layer's KV cache on one rank: 2*g*d/tp, at least one head's.

    MLA keeps the latent and the rotary key, kv_lora_rank + qk_rope_dim, whole on every rank (DeepSeek-V2,
    arXiv:2405.04434, section 2.1.2). Llama 2 70B, tp = 4: 2*2*128 = 512.
    """
    if model.mla is not None:
        return model.mla.kv_lora_rank + model.mla.qk_rope_dim + 0.0 * tp
    return 2.0 * model.head_dim * kv_heads_per_rank(model, tp)


def kept_context(model: Model, context: Num) -> Num:
    """Tokens of context that a layer keeps and reads: a window's at most, averaged over windowed and full layers."""
    if model.window is None:
        return context
    full = 1 / model.window_every if model.window_every else 0.0
    return full * context + (1 - full) * np.minimum(context, model.window)


def touched_experts(model: Model, tokens: Num) -> Num:
    """Experts of one layer that meet at least one of `tokens`, routed alike: E*(1 - (1 - k/E)^m)."""
    assert model.moe is not None
    idle = 1.0 - model.moe.top_k / model.moe.experts
    return model.moe.experts * (1.0 - np.power(idle, tokens))
