"""What models are made of: blocks, each a list of operators. One file per mixer and feed-forward part.

A new family is one file with its operators and one line in MIXERS or FEEDS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planner.blocks import attention, ends, feed, latent, prediction
from planner.blocks.common import addition, norm
from planner.blocks.operator import Operator, Share
from planner.blocks.record import Attention, Block, Dense, Embedding, Experts, Head, Kind, Latent, Norm, Prediction

Operators = Callable[[Any, int, Share], tuple[Operator, ...]]

MIXERS: dict[type, Operators] = {Attention: attention.operators, Latent: latent.operators}
FEEDS: dict[type, Operators] = {Dense: feed.dense, Experts: feed.experts}


def operators(kind: Kind, share: Share) -> tuple[Operator, ...]:
    """Everything that one rank does for one micro-batch in a block, the embedding or the head."""
    if isinstance(kind, Embedding):
        return ends.embedding(kind, share)
    if isinstance(kind, Head):
        return ends.head(kind, share)
    if isinstance(kind, Norm):
        return (norm(share, kind.hidden, kind.vectors),)
    if isinstance(kind, Prediction):
        return prediction.operators(kind, block(kind, share), share)
    return block(kind, share)


def block(kind: Block, share: Share) -> tuple[Operator, ...]:
    """norm, mixer, addition; norm, feed-forward part, addition."""
    h = kind.hidden
    return (
        norm(share, h, kind.norm_vectors),
        *MIXERS[type(kind.mixer)](kind.mixer, h, share),
        addition(share, h, kind.dropout),
        norm(share, h, kind.norm_vectors),
        *FEEDS[type(kind.feed)](kind.feed, h, share),
        addition(share, h, kind.dropout),
    )
