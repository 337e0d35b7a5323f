"""Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): low-rank q, k and v."""

from __future__ import annotations

from planner.blocks.attention import core, projection
from planner.blocks.operator import Operator, Product, Share, Stream
from planner.blocks.record import Latent


def operators(mixer: Latent, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Down to the latents (copied on every tp rank), up to this rank's heads, core, output product."""
    t, heads = share.tokens, mixer.heads / share.tp
    up = heads * (mixer.nope + mixer.value)
    latent = mixer.kv_rank + mixer.rope
    return (
        *_queries(mixer, hidden, share),
        Operator(
            "kv down",
            "attention",
            Product(t, latent, hidden),
            weights=hidden * latent + mixer.kv_rank,
            saved=share.activation * t * latent,
        ),
        Operator(
            "kv up",
            "attention",
            Product(t, up, mixer.kv_rank),
            weights=mixer.kv_rank * up,
            saved=share.activation * t * heads * (mixer.head_dim + mixer.value),
            modules=("mla_up_proj",),
        ),
        Operator("rotation", "attention", Stream(4.0 * t * 3.0 * heads * mixer.head_dim, 2.0)),
        *core(mixer, share, heads),
        projection(share, hidden, heads * mixer.value, False),
    )


def _queries(mixer: Latent, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Queries at once, or through a latent of their own with its norm."""
    width = mixer.heads * mixer.head_dim / share.tp
    kept = share.activation * share.tokens * width
    if mixer.query_rank is None:
        product = Product(share.tokens, width, hidden)
        return (Operator("query", "attention", product, weights=hidden * width, saved=kept),)
    rank = mixer.query_rank
    return (
        Operator(
            "query down",
            "attention",
            Product(share.tokens, rank, hidden),
            weights=float(rank * (hidden + 1)),
            saved=share.activation * share.tokens * rank,
        ),
        Operator(
            "query up",
            "attention",
            Product(share.tokens, width, rank),
            weights=rank * width,
            saved=kept,
            modules=("mla_up_proj",),
        ),
    )
