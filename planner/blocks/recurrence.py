"""Mixers that carry a state along the sequence instead of keys and values, as records."""

from __future__ import annotations

from planner.frozen import frozen


@frozen
class StateSpace:
    """Mamba-2 (Dao 2024, arXiv:2405.21060): heads of width head_dim, each with a state of head_dim*state.

    Attributes:
        groups: of heads that share B and C; conv: width of the causal convolution; chunk: tokens that the scan takes
            at once.
        bias: of the convolution; projection_bias: of both products.
    """

    heads: int
    head_dim: int
    state: int
    groups: int
    conv: int = 4
    chunk: int = 256
    bias: bool = True
    projection_bias: bool = False


@frozen
class SelectiveScan:
    """Mamba-1 (Gu 2023, arXiv:2312.00752): `inner` columns with a state each; fields as those of the profile."""

    inner: int
    state: int
    rank: int
    conv: int = 4
    bias: bool = True
    projection_bias: bool = False


@frozen
class DeltaRule:
    """Linear attention by the gated delta rule (Yang 2024, arXiv:2412.06464).

    Attributes:
        key_heads, value_heads, key_dim, value_dim: heads and widths of queries and keys, and of values and gates.
        conv: width of the causal convolution over queries, keys and values.
        channelwise: decay per key channel and gate through products of rank value_dim (Kimi Delta Attention,
            arXiv:2510.26692).
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    conv: int = 4
    channelwise: bool = False


@frozen
class Lightning:
    """Linear attention with a fixed decay per head and an output gate (MiniMax-01, arXiv:2501.08313)."""

    heads: int
    head_dim: int


@frozen
class ShortConvolution:
    """A gated convolution of `width` tokens over all columns (LFM2, arXiv:2511.23404, section 2)."""

    width: int
