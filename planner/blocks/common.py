"""Operators that every block has: norms and residual additions."""

from __future__ import annotations

from planner.blocks.operator import Operator, Share, Stream
from planner.plan import Num

NORM_PASSES = 2.0
"""Accesses of an element: read and written."""


def norm(share: Share, hidden: int, vectors: int, each: Num | None = None, feeds: str = "") -> Operator:
    """A norm: its output is kept, `each` bytes an element (an operand's in front of a linear layer, else an
    activation's); h parameters, or 2*h with a bias, on every rank.
    """
    elements = share.tokens * hidden / share.shard
    return Operator(
        "norm",
        "norms",
        Stream(NORM_PASSES * share.activation * elements, 1.0),
        weights=float(vectors * hidden),
        saved=(share.activation if each is None else each) * elements,
        feeds=feeds,
    )


def addition(share: Share, hidden: int, dropout: bool, feeds: str = "") -> Operator:
    """The residual addition behind a part: 4 accesses of an element, 2.4 without a dropout mask, which is a byte.

    Its output is the next norm's input and stays.
    """
    elements = share.tokens * hidden / share.shard
    mask = 1.0 if dropout else 0.0
    moved = (4.0 if dropout else 2.4) * share.activation * elements
    saved = (share.activation + mask) * elements
    return Operator("residual", "residual", Stream(moved, 1.0), saved=saved, feeds=feeds)
