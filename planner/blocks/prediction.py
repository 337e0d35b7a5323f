"""Layers that predict one token more (MTP): DeepSeek-V3, arXiv:2412.19437, section 2.2, equations 21 to 23."""

from __future__ import annotations

from dataclasses import replace

from planner.blocks import ends
from planner.blocks.common import norm
from planner.blocks.operator import Operator, Product, Share, Traffic
from planner.blocks.record import Prediction


def operators(kind: Prediction, inner: tuple[Operator, ...], share: Share) -> tuple[Operator, ...]:
    """Look-up of the next token, two norms, 2h -> h, the block itself, a norm, and the model's head and loss again.

    h' = block(M [norm(h); norm(embedding)]). NVIDIA/Megatron-LM core/transformer/multi_token_prediction.py: `eh_proj`
    is column-parallel, its input (2h wide) gathered and its output (h wide) too. DeepSeek-V3: 102.8e6 parameters in it,
    11.5e9 in all; embedding and head are the model's.
    """
    h, vectors = kind.hidden, kind.norm_vectors
    elements = share.tokens * h
    (look_up,) = ends.embedding(kind.embedding, share)
    joined = Operator(
        "joined projection",
        "mlp",
        Product(share.tokens, h / share.tp, 2 * h, fused=0),
        weights=2.0 * h * h / share.tp,
        saved=2.0 * share.activation * elements / share.shard,
        traffic=(Traffic("tp", "all_reduce", share.activation * elements, calls=1.5),),
    )
    return (
        look_up if kind.embeds else replace(look_up, weights=0.0),
        *(norm(share, h, vectors) for _ in range(2)),
        joined,
        *inner,
        norm(share, h, vectors),
        *ends.head(kind.head, share),
    )
