"""Linear attention: the gated delta rule (Yang 2024, arXiv:2412.06464) and lightning attention (arXiv:2401.04658)."""

from __future__ import annotations

from dataclasses import replace

from planner.blocks import attention, state_space
from planner.blocks.attention import gate, projection
from planner.blocks.operator import Operator, Product, Scan, Share
from planner.blocks.record import Parallel
from planner.blocks.recurrence import DeltaRule, Lightning, ShortConvolution
from planner.blocks.state_space import convolution, gated_norm, heads_for_tokens, recurrent
from planner.plan import Num

DELTA_CHUNK = 64
"""Tokens of a chunk: fla ops/gated_delta_rule/chunk.py; Transformers' torch_chunk_gated_delta_rule."""

LIGHTNING_CHUNK = 256
"""Tokens of a block: MiniMax-Text-01 modeling_minimax_text_01.py."""

DELTA_KERNELS = 6.0
LIGHTNING_KERNELS = 2.0


def delta_rule(mixer: DeltaRule, hidden: int, share: Share) -> tuple[Operator, ...]:
    """q, k, v and gate; decay and write strength; convolution; scan; gated norm; output product.

    Qwen3-Next, Transformers modeling_qwen3_next.py: h*(2*K + 2*V + 2*a_v) + k*(2*K + V) + 2*a_v + d_v + V*h, K and V
    all key and value columns.
    """
    t, keys = share.tokens, mixer.key_heads * mixer.key_dim / share.tp
    heads = mixer.value_heads / share.tp
    values = heads * mixer.value_dim
    mixed = 2 * keys + values
    return (
        *_inputs(mixer, hidden, share, mixed, values, heads),
        convolution(share, mixed, mixer.conv, False),
        Operator(
            "delta rule",
            "attention",
            _delta_scan(mixer, share, heads),
            weights=heads + (keys if mixer.channelwise else heads),
            saved=share.activation * t * (values + DELTA_CHUNK * heads)
            + share.activation * t * heads * mixer.key_dim * mixer.value_dim / DELTA_CHUNK,
            cache=recurrent(values * mixer.key_dim),
        ),
        gated_norm(share, values, float(mixer.value_dim)),
        projection(share, hidden, values, False),
    )


def _inputs(mixer: DeltaRule, hidden: int, share: Share, mixed: Num, values: Num, heads: Num) -> tuple[Operator, ...]:
    """One product for q, k, v and gate and a narrow one; with decay per channel, both through a low rank."""
    if not mixer.channelwise:
        return (_product("qkvz", hidden, mixed + values, share), _product("decay", hidden, 2 * heads, share))
    rank, keys = mixer.value_dim, (mixed - values) / 2
    return (
        _product("qkv", hidden, mixed + heads, share),
        _product("low rank", hidden, 2.0 * rank, share),
        _product("decay and gate", rank, keys + values, share),
    )


def _product(name: str, hidden: int, width: Num, share: Share) -> Operator:
    saved = share.activation * share.tokens * width
    traffic = heads_for_tokens(share, width)
    return Operator(
        name, "attention", Product(share.tokens, width, hidden), width * hidden, saved=saved, traffic=traffic
    )


def _delta_scan(mixer: DeltaRule, share: Share, heads: Num) -> Scan:
    """FLOPs of a token and head: C*(6*d_k + 4*d_v) within a chunk of C, C*C for its triangular inverse, 6*d_k*d_v
    between chunks (section 3.3 of the paper).
    """
    c, k, v = DELTA_CHUNK, mixer.key_dim, mixer.value_dim
    flops = share.tokens * heads * (c * (6.0 * k + 4.0 * v) + c * c + 6.0 * k * v)
    columns = 4.0 * k + 4.0 * v + 2.0 * c
    moved = share.tokens * heads * share.activation * (columns + 2.0 * k * v / c)
    return Scan(flops, moved, DELTA_KERNELS, c, v, k)


def lightning(mixer: Lightning, hidden: int, share: Share) -> tuple[Operator, ...]:
    """q, k, v; scan; norm of its output and gate; output product (MiniMax-01, arXiv:2501.08313, section 2.2).

    Weights, Transformers modeling_minimax.py: 3*h*i + i + h*i + i*h, i = a*d.
    """
    heads = mixer.heads / share.tp
    inner = heads * mixer.head_dim
    b, d = LIGHTNING_CHUNK, mixer.head_dim
    flops = share.tokens * heads * (4.0 * b * d + 4.0 * d * d)
    moved = share.activation * share.tokens * heads * (4.0 * d + 2.0 * d * d / b)
    scan = Scan(flops, moved, LIGHTNING_KERNELS, b, d, d)
    return (
        _product("qkv", hidden, 3 * inner, share),
        Operator(
            "lightning", "attention", scan, saved=share.activation * share.tokens * inner, cache=recurrent(inner * d)
        ),
        _product("gate product", hidden, inner, share),
        *gate(share, inner),
        gated_norm(share, inner, inner),
        projection(share, hidden, inner, False),
    )


def short_convolution(mixer: ShortConvolution, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Two gates and what they gate; convolution of one times it; the other's product; output product.

    Weights, Transformers modeling_lfm2.py: 3*h*h + h*k + h*h.
    """
    inner = hidden / share.tp
    return (
        _product("in product", hidden, 3 * inner, share),
        *gate(share, inner),
        convolution(share, inner, mixer.width, False),
        *(replace(one, name="second gate") for one in gate(share, inner)),
        projection(share, hidden, inner, False),
    )


def parallel(mixer: Parallel, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Attention's operators, then those of the state space; the block's addition takes the sum of both."""
    state = state_space.operators(mixer.state, hidden, share)
    return (
        *attention.operators(mixer.attention, hidden, share),
        *(replace(op, name=f"state {op.name}") if op.name == "projection" else op for op in state),
    )
