"""Attention in groups of heads (Vaswani 2017; Shazeer 2019; Ainslie 2023), in a window where there is one."""

from __future__ import annotations

import numpy as np

from planner.blocks.operator import NORM_PASSES, Cache, Core, Operator, Product, Share, Stream, Traffic
from planner.blocks.record import Attention, Latent
from planner.plan import Num
from planner.schema.formats import STORED


def kv_heads_per_rank(kv_heads: int, tp: Num) -> Num:
    """Key/value heads that one tensor-parallel rank holds: g/tp, at least one (copied when tp > g)."""
    return np.maximum(kv_heads / tp, 1.0)


def attended(window: int | None, seq: Num) -> Num:
    """Side of the causal square with as many scores: s, or 2*w - w*w/s for a window of w < s.

    A causal window holds s*w - w*w/2 pairs of the s*s/2 that full attention has. Mistral 7B, w = 4096 at s = 8192:
    2*4096 - 2048 = 6144.
    """
    if window is None:
        return seq
    w: Num = np.minimum(float(window), seq)
    return 2.0 * w - w * w / seq


TILE = 128
"""Rows of a flash kernel's tile of queries (FlashAttention 2 and 3, cuDNN, head size 128)."""


def computed(window: int | None, seq: Num) -> Num:
    """The same with whole tiles: the keys of a tile of queries are those of its first row to its last, w + 128.

    GPT-OSS, w = 128 at s = 4096: 2*256 - 16 = 496 where `attended` has 252.
    """
    return attended(None if window is None else window + TILE, seq)


def both_ways(window: int | None, seq: Num) -> tuple[Num, Num, Num]:
    """Keys of a row that sees both ways, edge of the causal square with as many scores, and the same in whole tiles.

    All s keys, or those of its own window of w: s*w pairs are half of a square of 2*w. Qwen2.5-VL, w = 64: 128, and 256
    where a tile of 128 rows takes a window.
    """
    keys = seq if window is None else np.minimum(float(window), seq)
    return keys, 2.0 * keys, 2.0 * np.maximum(keys, np.minimum(float(TILE), seq)) if window else 2.0 * keys


def operators(mixer: Attention, hidden: int, share: Share) -> tuple[Operator, ...]:
    """q, k, v; rotation and split; core; output product, with an all-reduce of b*s*h over tp behind it.

    A trainer's rank has g/tp key/value heads' weights, a server's no less than one's.
    """
    t, a, d = share.tokens, mixer.heads, mixer.head_dim
    own, out, kv = a * d / share.tp, a * mixer.value / share.tp, kv_heads_per_rank(mixer.kv_heads, share.tp)
    width = own + (d + mixer.value) * kv
    each, first = d if mixer.keys_are_values else d + mixer.value, own + out if mixer.gated else own
    held, columns = (first + each * heads for heads in (kv, mixer.kv_heads / share.tp if share.plain else kv))
    bias = columns if mixer.bias else 0.0
    return (
        Operator(
            "qkv",
            "attention",
            Product(t, columns, hidden, fused=3),
            weights=columns * hidden + bias,
            saved=share.activation * t * held,
            traffic=_gathered(mixer, share, columns),
            feeds="core_attn",
        ),
        *_norms(mixer, share, d * kv, own),
        Operator("rotation", "attention", Stream(2.0 * share.activation * t * width, 2.0)),
        *core(mixer, share, kv),
        *(gate(share, out) if mixer.gated else ()),
        projection(share, hidden, out, mixer.output_bias),
    )


def _gathered(mixer: Attention, share: Share, columns: Num) -> tuple[Traffic, ...]:
    """What trainers send where tp exceeds the key/value heads: they split these, too, and gather all columns.

    An all-gather forward and a reduce-scatter backward: half of an all-reduce each (NVIDIA/Megatron-LM
    core/transformer/attention.py, get_query_key_value_tensors).
    """
    more = share.tp > mixer.kv_heads
    if not share.plain or not np.any(more):
        return ()
    whole = share.activation * share.tokens * columns * share.tp
    return (Traffic("tp", "all_reduce", 0.5 * whole, np.where(more, 1.0, 0.0)[()]),)


def _norms(mixer: Attention, share: Share, keys: Num, own: Num) -> tuple[Operator, ...]:
    """Norms of queries and keys (Henry 2020, arXiv:2010.04245): 2*d weights on every rank, or one for each column.

    Each keeps its input for the backward pass, beside the output that the core keeps.
    """
    if not mixer.qk_norm:
        return ()
    elements = share.tokens * (own + keys)
    weights = own + keys if mixer.wide else 2.0 * mixer.head_dim
    saved = share.activation * elements
    return (
        Operator(
            "qk norm", "norms", Stream(NORM_PASSES * share.activation * elements, 2.0), weights=weights, saved=saved
        ),
    )


def gate(share: Share, width: Num) -> tuple[Operator, ...]:
    """A sigmoid gate on `width` columns: reads both, writes one; the ungated output stays for the backward pass."""
    elements = share.tokens * width
    return (
        Operator(
            "gate", "attention", Stream(3.0 * share.activation * elements, 1.0), saved=share.activation * elements
        ),
    )


def projection(share: Share, hidden: int, own: Num, bias: bool) -> Operator:
    """The output product of `own` columns of this rank's heads: keeps its input, which the core keeps, too."""
    return Operator(
        "projection",
        "attention",
        Product(share.tokens, hidden, own),
        weights=own * hidden + (hidden if bias else 0.0),
        saved=(share.activation + share.copied) * share.tokens * own,
        traffic=(Traffic("tp", "all_reduce", share.joined * share.tokens * hidden),),
        feeds="attn_proj",
    )


def core(mixer: Attention | Latent, share: Share, kv_heads: Num) -> tuple[Operator, ...]:
    """Scores, softmax and values of this rank's heads. Flash keeps one fp32 statistic per row and head.

    Stored scores take an activation's bytes, with dropout twice that and a mask of one (Korthikanti 2022,
    arXiv:2205.05198, 4.1); a softmax in fp32 keeps its own output, too. Their gradients live while its backward pass
    runs. Over cp, what travels follows from the core (`planner.cost.context`).
    """
    heads, value = mixer.heads / share.tp, mixer.value
    rows = share.seq / share.cp
    sinks = heads if isinstance(mixer, Attention) and mixer.sinks else 0.0
    chosen = mixer.indexer.top_k if isinstance(mixer, Latent) and mixer.indexer else None
    span, side = share.seq, attended(chosen or mixer.window, share.seq)
    tiled = side if chosen else computed(mixer.window, share.seq)
    both = isinstance(mixer, Attention) and not mixer.causal
    if both:
        span, side, tiled = both_ways(mixer.window, share.seq)
    work = Core(share.b, heads, rows, span, side, mixer.head_dim, value, kv_heads, tiled)
    each = (2.0 * share.activation + 1.0 if mixer.dropout else share.activation) + share.softmax
    scores = share.tokens * span * heads
    saved = STORED["fp32"] * share.tokens * heads if share.flash else each * scores
    working = 0.0 if share.flash else (share.activation + 2.0 * share.softmax) * scores
    cache = _latent(mixer, heads) if isinstance(mixer, Latent) else None if both else _cache(mixer, heads, kv_heads)
    return (
        Operator("core", "attention", work, sinks, saved=saved, working=working, modules=("core_attn",), cache=cache),
    )


def _cache(mixer: Attention, heads: Num, kv_heads: Num) -> Cache:
    """A key and a value for each of this rank's key/value heads. Llama 2 70B, tp = 4: 2*2*128 = 512 elements."""
    both = mixer.head_dim + mixer.value
    return Cache(1.0 * both * kv_heads, float(mixer.window or np.inf), flops=2.0 * both * heads)


def _latent(mixer: Latent, heads: Num) -> Cache:
    """The latent and the rotary key, whole on every rank; heads meet them there (arXiv:2405.04434, section 2.1.2)."""
    read = float(mixer.indexer.top_k) if mixer.indexer else np.inf
    return Cache(
        float(mixer.kv_rank + mixer.rope),
        float(mixer.window or np.inf),
        read,
        flops=2.0 * (2 * mixer.kv_rank + mixer.rope) * heads,
    )
