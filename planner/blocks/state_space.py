"""State-space layers (Mamba-2: Dao 2024, arXiv:2405.21060; Mamba-1: Gu 2023, arXiv:2312.00752; mamba_ssm modules)."""

from __future__ import annotations

import numpy as np

from planner.blocks.attention import gate, projection
from planner.blocks.operator import NORM_PASSES, Cache, Operator, Product, Scan, Share, Stream, Traffic
from planner.blocks.recurrence import SelectiveScan, StateSpace
from planner.plan import Num
from planner.schema.formats import STORED

CONV_KERNELS = 1.0
SCAN_KERNELS = 5.0
"""Cumulative decay, chunk states, passing of states, products in chunks, output: mamba_ssm ops/triton/ssd_combined."""


def operators(mixer: StateSpace, hidden: int, share: Share) -> tuple[Operator, ...]:
    """z, x, B, C and dt; convolution; scan; gated norm; output product with an all-reduce behind it.

    Weights: h*(2*i + 2*G*N + a) + (k + 1)*(i + 2*G*N) + 3*a + i + i*h, i = a*P; groups are copied where tp > G.
    """
    t, heads = share.tokens, mixer.heads / share.tp
    inner = heads * mixer.head_dim
    mixed = inner + 2 * mixer.state * groups_per_rank(mixer.groups, share.tp)
    width = inner + mixed + heads
    bias = width if mixer.projection_bias else 0.0
    return (
        Operator(
            "in product",
            "attention",
            Product(t, width, hidden),
            weights=width * hidden + bias,
            saved=share.activation * t * width,
            traffic=heads_for_tokens(share, width),
        ),
        convolution(share, mixed, mixer.conv, mixer.bias),
        Operator(
            "scan",
            "attention",
            scan(mixer, share, heads),
            weights=3.0 * heads,
            saved=share.activation * t * inner + STORED["fp32"] * t * inner * mixer.state / mixer.chunk,
            cache=recurrent(inner * mixer.state),
        ),
        gated_norm(share, inner, inner),
        projection(share, hidden, inner, mixer.projection_bias),
    )


def groups_per_rank(groups: int, tp: Num) -> Num:
    """Groups of B and C on a rank: G/tp, at least one (copied when tp > G)."""
    return np.maximum(groups / tp, 1.0)


def heads_for_tokens(share: Share, width: Num) -> tuple[Traffic, ...]:
    """Over cp, each rank trades its tokens of all heads for all tokens of its heads, before the scan and after it.

    Megatron-LM core/ssm/mamba_context_parallel.py.
    """
    return (Traffic("cp", "all_to_all", share.activation * share.tokens * width, calls=2.0),)


def convolution(share: Share, channels: Num, width: int, bias: bool) -> Operator:
    """A causal convolution of every channel by itself, and its activation function: reads and writes each once."""
    elements = share.tokens * channels
    weights = channels * (width + (1 if bias else 0))
    saved = share.activation * elements
    return Operator(
        "convolution",
        "attention",
        Stream(2.0 * share.activation * elements, CONV_KERNELS),
        weights=weights,
        saved=saved,
        cache=Cache(state=share.activation * channels * (width - 1)),
    )


def recurrent(elements: Num) -> Cache:
    """A state in fp32, as Nemotron-H and Qwen3.5 ask for (`mamba_ssm_cache_dtype` of their config.json)."""
    return Cache(state=STORED["fp32"] * elements)


def gated_norm(share: Share, inner: Num, weights: Num) -> Operator:
    """The scan's output, times a gate, normed: three passes over `inner` columns; its input is kept by the scan."""
    return Operator(
        "gated norm", "norms", Stream(1.5 * NORM_PASSES * share.activation * share.tokens * inner, 1.0), weights=weights
    )


def scan(mixer: StateSpace, share: Share, heads: Num) -> Scan:
    """FLOPs of a token: 2*Q*N per group, 2*Q*P + 4*N*P per head (section 6 of the paper: C*B, its product with x, the
    chunk's state, its part of the output); states of every chunk are written and read in fp32.
    """
    q, n, p = mixer.chunk, mixer.state, mixer.head_dim
    groups = groups_per_rank(mixer.groups, share.tp)
    flops = share.tokens * (2.0 * q * n * groups + (2.0 * q * p + 4.0 * n * p) * heads)
    columns = 2.0 * heads * p + 2.0 * n * groups + heads
    moved = share.tokens * (share.activation * columns + 4.0 * STORED["fp32"] * heads * p * n / q)
    return Scan(flops, moved, SCAN_KERNELS, q, p, n)


def selective(mixer: SelectiveScan, hidden: int, share: Share) -> tuple[Operator, ...]:
    """x and gate; convolution; step, B and C of x, whose columns tp splits; scan; gate; output product.

    Weights: h*2*i + (k + 1)*i + i*(r + 2*N) + (r + 1)*i + (N + 1)*i + i*h. The scan is one kernel that keeps states on
    the chip: it reads x, its step, B and C, and writes as many columns as x has.
    """
    t, inner, narrow = share.tokens, mixer.inner / share.tp, mixer.rank + 2 * mixer.state
    bias = 2 * inner if mixer.projection_bias else 0.0
    joined = Traffic("tp", "all_reduce", share.activation * t * narrow)
    moved = share.activation * t * (3.0 * inner + 2.0 * mixer.state)
    kept = share.activation * t * inner
    return (
        Operator(
            "in product",
            "attention",
            Product(t, 2 * inner, hidden, fused=2),
            weights=2 * inner * hidden + bias,
            saved=2.0 * kept,
            traffic=heads_for_tokens(share, 2 * inner),
        ),
        convolution(share, inner, mixer.conv, mixer.bias),
        Operator(
            "step and state product",
            "attention",
            Product(t, narrow, inner),
            weights=inner * narrow,
            saved=share.activation * t * narrow,
            traffic=(joined,),
        ),
        Operator(
            "step product", "attention", Product(t, inner, mixer.rank), weights=(mixer.rank + 1) * inner, saved=kept
        ),
        Operator(
            "selective scan",
            "attention",
            Stream(moved, 1.0),
            weights=(mixer.state + 1) * inner,
            cache=recurrent(inner * mixer.state),
        ),
        *gate(share, inner),
        projection(share, hidden, inner, mixer.projection_bias),
    )
