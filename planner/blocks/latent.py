"""Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): low-rank q, k and v."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.blocks.attention import core, projection
from planner.blocks.operator import Cache, Core, Operator, Product, Share, Stream, Traffic
from planner.blocks.record import Indexer, Latent
from planner.plan import Num
from planner.schema.formats import STORED


def operators(mixer: Latent, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Down to the latents (copied on every tp rank), up to this rank's heads, core, output product.

    Latents are kept before their norm and behind it. With sequence parallelism each rank brings its own tokens down and
    keeps theirs; what tp gathers before the products up are latents instead of hidden states (Megatron-LM
    core/transformer/multi_latent_attention.py).
    """
    t, heads = share.tokens, mixer.heads / share.tp
    own = t / share.shard
    up = heads * (mixer.nope + mixer.value)
    latent = mixer.kv_rank + mixer.rope
    return (
        *_queries(mixer, hidden, share),
        Operator(
            "kv down",
            "attention",
            Product(own, latent, hidden),
            weights=hidden * latent + mixer.kv_rank,
            saved=share.activation * own * latent,
        ),
        Operator(
            "kv up",
            "attention",
            Product(t, up, mixer.kv_rank),
            weights=mixer.kv_rank * up,
            saved=share.activation * t * heads * (mixer.head_dim + mixer.value) + _normed(share, mixer.kv_rank),
            modules=("mla_up_proj",),
            feeds="core_attn",
        ),
        Operator(
            "rotation",
            "attention",
            Stream(2.0 * share.activation * t * 3.0 * heads * mixer.head_dim, 2.0),
            modules=("mla_up_proj",),
        ),
        *(_indexer(mixer.indexer, mixer, hidden, share) if mixer.indexer and not mixer.indexer.shared else ()),
        *core(mixer, share, heads),
        replace(projection(share, hidden, heads * mixer.value, False), traffic=_joined(mixer, hidden, share)),
    )


def _normed(share: Share, rank: int) -> Num:
    """Bytes of a latent behind its norm, an operand that the weight gradient of the product up reads."""
    return share.operand * share.tokens / share.shard * rank if share.plain else 0.0


def _joined(mixer: Latent, hidden: int, share: Share) -> tuple[Traffic, ...]:
    """All-reduce of b*s*h over tp; with sequence parallelism scattered only, and the narrow latents gathered."""
    scattered = np.where(share.shard > 1.0, 0.5, 1.0)[()]
    widths = mixer.kv_rank + mixer.rope + (mixer.query_rank or hidden)
    return (
        Traffic("tp", "all_reduce", share.joined * share.tokens * hidden, calls=scattered),
        Traffic("tp", "all_reduce", share.activation * share.tokens * widths, calls=1.0 - scattered),
    )


def _indexer(indexer: Indexer, mixer: Latent, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Scores of all earlier tokens by small heads that share one key, on every tp rank; the best `top_k` are taken.

    DeepSeek-V3.2 (arXiv:2512.02556), section 2.1; modules of Transformers modeling_deepseek_v32.py. Scores are no
    square of 16 bit in memory: they are consumed by the choice, which is priced as one pass over them in fp32.
    """
    t, rank = share.tokens, mixer.query_rank or hidden
    width = indexer.heads * indexer.head_dim
    narrow = indexer.head_dim + indexer.heads
    scores = Core(share.b, indexer.heads, share.seq / share.cp, share.seq, share.seq, indexer.head_dim, 1, 1, share.seq)
    chosen = np.minimum(float(indexer.top_k), share.seq)
    kept = (share.activation * t * width, share.activation * t * narrow)
    return (
        Operator("index query", "attention", Product(t, width, rank), float(rank * width), saved=kept[0]),
        Operator(
            "index key",
            "attention",
            Product(t, narrow, hidden),
            float(hidden * narrow + 2 * indexer.head_dim),
            saved=kept[1],
        ),
        Operator("index scores", "attention", scores, modules=("core_attn",), cache=_index_keys(indexer)),
        Operator("choice", "attention", Stream(2.0 * t * share.seq, 1.0), saved=4.0 * t * chosen),
    )


def _index_keys(indexer: Indexer) -> Cache:
    """One key for all heads, in fp8 with an fp32 scale: 132 bytes a token (vllm-project/vllm models/deepseek_v2.py)."""
    d, scale = indexer.head_dim, STORED["fp32"] / indexer.head_dim
    return Cache(float(d), bytes=STORED["fp8"] + scale, flops=2.0 * d * indexer.heads)


def _queries(mixer: Latent, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Queries at once, or through a latent of their own with its norm."""
    width = mixer.heads * mixer.head_dim / share.tp
    kept = share.activation * share.tokens * width
    if mixer.query_rank is None:
        product = Product(share.tokens, width, hidden)
        return (Operator("query", "attention", product, weights=hidden * width, saved=kept, feeds="core_attn"),)
    rank = mixer.query_rank
    return (
        Operator(
            "query down",
            "attention",
            Product(share.tokens / share.shard, rank, hidden),
            weights=float(rank * (hidden + 1)),
            saved=share.activation * share.tokens / share.shard * rank,
        ),
        Operator(
            "query up",
            "attention",
            Product(share.tokens, width, rank),
            weights=rank * width,
            saved=kept + _normed(share, rank),
            modules=("mla_up_proj",),
            feeds="core_attn",
        ),
    )
