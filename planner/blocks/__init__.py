"""What models are made of: blocks, each a list of operators. One file per mixer and feed-forward part.

A new family is one file with its operators and one line in MIXERS or FEEDS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from planner.blocks import attention, ends, feed, latent, linear, record, state_space, tower
from planner.blocks.operator import Operator, Product, Share, addition, norm
from planner.blocks.record import Block, Kind
from planner.blocks.recurrence import DeltaRule, Lightning, SelectiveScan, ShortConvolution, StateSpace
from planner.blocks.seeing import Patches, Projection

Operators = Callable[[Any, int, Share], tuple[Operator, ...]]

MIXERS: dict[type, Operators] = {
    record.Attention: attention.operators,
    record.Latent: latent.operators,
    StateSpace: state_space.operators,
    DeltaRule: linear.delta_rule,
    Lightning: linear.lightning,
    SelectiveScan: state_space.selective,
    ShortConvolution: linear.short_convolution,
    record.Parallel: linear.parallel,
}
FEEDS: dict[type, Operators] = {record.Dense: feed.dense, record.Experts: feed.experts}


def operators(kind: Kind, share: Share) -> tuple[Operator, ...]:
    """Everything that one rank does for one micro-batch in a block, an end or a part of a tower."""
    if isinstance(kind, record.Embedding):
        return ends.embedding(kind, share)
    if isinstance(kind, record.Head):
        return ends.head(kind, share)
    if isinstance(kind, record.Norm):
        return (norm(share, kind.hidden, kind.vectors),)
    if isinstance(kind, record.Prediction):
        return ends.prediction(kind, block(kind, share), share)
    share = tower.seen(kind, share)
    if isinstance(kind, Patches):
        return tower.patches(kind, share)
    if isinstance(kind, Projection):
        return tower.projection(kind, share)
    return block(kind, share)


def block(kind: Block, share: Share) -> tuple[Operator, ...]:
    """norm, mixer, addition; norm, feed-forward part, addition; a second norm before each addition of a sandwich."""
    if kind.wide:
        return tuple(map(_widened, block(replace(kind, wide=False), replace(share, operand=share.activation))))
    parts = ((MIXERS, kind.mixer, ("qkv_linear", "mlp_norm")), (FEEDS, kind.feed, ("", "attn_norm")))
    return tuple(
        op
        for table, part, feeds in parts
        if part is not None
        for op in _residual(kind, share, table[type(part)](part, kind.hidden, share), isinstance(part, LOOSE), feeds)
    )


LOOSE = (record.Latent, record.Experts)
"""Parts whose norm is a kernel of its own; before others it is one with their first product and is not run again
(NVIDIA/Megatron-LM core/models/gpt/gpt_layer_specs.py, core/transformer/transformer_layer.py)."""


def _residual(
    kind: Block, share: Share, part: tuple[Operator, ...], loose: bool, feeds: tuple[str, str]
) -> tuple[Operator, ...]:
    """Experts are sent what the norm gives, in 16 bit; a linear layer keeps it as its operand.

    `feeds`: modules that read what the norm gives, and what the addition gives.
    """
    linear = part[0].part != "router"
    before = norm(share, kind.hidden, kind.norm_vectors, share.operand if linear else None, feeds[0])
    before = replace(before, modules=("layernorm",)) if loose else before
    behind = (norm(share, kind.hidden, kind.norm_vectors),) if kind.sandwich else ()
    return (before, *part, *behind, addition(share, kind.hidden, kind.dropout, feeds[1]))


def _widened(op: Operator) -> Operator:
    return replace(op, work=replace(op.work, wide=True)) if isinstance(op.work, Product) else op
