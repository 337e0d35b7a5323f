"""What stands before the first block and behind the last one, layers that predict one token more among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.blocks.operator import Logits, Operator, Product, Share, Stream, Traffic, norm
from planner.blocks.record import Embedding, Head, Prediction
from planner.plan import Num

VOCABULARY_MULTIPLE = 128
"""Megatron pads the vocabulary to a multiple of 128*tp (--make-vocab-size-divisible-by, training/tokenizer)."""


def padded_vocabulary(vocab: int, tp: Num) -> Num:
    """V rounded up to a multiple of 128*tp: 128,256 stays at tp = 1 and becomes 129,024 at tp = 8."""
    multiple = VOCABULARY_MULTIPLE * tp
    return np.ceil(vocab / multiple) * multiple


def rows(vocab: int, share: Share) -> Num:
    """Rows of the vocabulary on one tensor-parallel rank."""
    return padded_vocabulary(vocab, share.tp) / share.tp if share.padded else vocab / share.tp


def embedding(end: Embedding, share: Share) -> tuple[Operator, ...]:
    """Look-up of b*s/cp rows, with half of an all-reduce of b*s*h over tp (or a reduce-scatter)."""
    elements = share.tokens * end.hidden
    weights = rows(end.vocab, share) * end.hidden + end.positions * end.hidden
    moved = elements * (4.0 if end.dropout else 2.0) * share.activation
    half = Traffic("tp", "all_reduce", share.activation * elements, calls=0.5)
    return (Operator("look-up", "embedding", Stream(moved, 3.0), weights=weights, traffic=(half,)),)


def head(end: Head, share: Share) -> tuple[Operator, ...]:
    """Final norm, product with V/tp columns, loss over them; half of an all-reduce of b*s*h over tp.

    The loss is an operator of its own, whose bytes per logit are the framework's.
    """
    columns = rows(end.vocab, share)
    half = Traffic("tp", "all_reduce", share.activation * share.tokens * end.hidden, calls=0.5)
    return (
        *([norm(share, end.hidden, end.norm_vectors)] if end.norm_vectors else []),
        Operator(
            "head",
            "head",
            Product(share.tokens, columns, end.hidden, fused=0, wide=True),
            weights=0.0 if end.tied else columns * end.hidden,
            traffic=(half,),
        ),
        Operator("loss", "loss", Logits(share.tokens, columns, share.tp)),
    )


def prediction(kind: Prediction, inner: tuple[Operator, ...], share: Share) -> tuple[Operator, ...]:
    """Look-up of the next token, two norms, 2h -> h, the block itself, a norm, and the model's head and loss again.

    h' = block(M [norm(h); norm(embedding)]): DeepSeek-V3, arXiv:2412.19437, section 2.2, equations 21 to 23.
    NVIDIA/Megatron-LM core/transformer/multi_token_prediction.py: `eh_proj` is column-parallel, its input (2h wide)
    gathered and its output (h wide) too. DeepSeek-V3: 102.8e6 parameters in it, 11.5e9 in all; embedding and head are
    the model's.
    """
    h, vectors = kind.hidden, kind.norm_vectors
    elements = share.tokens * h
    (look_up,) = embedding(kind.embedding, share)
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
        *head(kind.head, share),
    )
