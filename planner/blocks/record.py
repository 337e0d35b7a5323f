"""The blocks of a transformer as records: a mixer over tokens, then a feed-forward part, each behind a norm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attention:
    """Multi-head attention with a heads in g groups.

    Attributes:
        heads, kv_heads, head_dim: a, g, d; window: causal window in tokens, None for all that came before.
        bias: of the q, k, v products; output_bias: of the output product.
        dropout: on the scores.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int | None = None
    bias: bool = False
    output_bias: bool = False
    dropout: bool = False


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

    Attributes:
        kv_rank, query_rank: widths of the compressed keys and values, and queries (None: not compressed).
        nope, rope, value: per head, query/key width without and with rotary position, and value width.
    """

    heads: int
    kv_rank: int
    query_rank: int | None
    nope: int
    rope: int
    value: int
    window: int | None = None
    dropout: bool = False

    @property
    def head_dim(self) -> int:
        """Width of one head's query and key."""
        return self.nope + self.rope


@dataclass(frozen=True, slots=True)
class Dense:
    """A feed-forward part: up to `width` and down again, with a third matrix when gated."""

    width: int
    gated: bool
    bias: bool = False

    @property
    def matrices(self) -> int:
        """3 when gated (gate, up, down), else 2."""
        return 3 if self.gated else 2


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts: a router, `count` experts of which a token visits `top_k`, and shared ones it always does.

    Attributes:
        expert: the shape of one; shared: how many of that width every token visits.
    """

    count: int
    top_k: int
    expert: Dense
    shared: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """One layer.

    Attributes:
        hidden: h; norm_vectors: 2 for LayerNorm (weight and bias), 1 for RMSNorm.
        dropout: of both residual additions, with masks kept.
    """

    hidden: int
    norm_vectors: int
    mixer: Attention | Latent
    feed: Dense | Experts
    dropout: bool = False

    @property
    def title(self) -> str:
        """As explanations name it: "attention dense layer", "windowed attention experts layer"."""
        parts = f"{type(self.mixer).__name__.lower()} {type(self.feed).__name__.lower()} layer"
        return f"windowed {parts}" if self.mixer.window else parts


@dataclass(frozen=True, slots=True)
class Embedding:
    """Rows of the vocabulary, and of learned positions."""

    hidden: int
    vocab: int
    positions: int = 0
    dropout: bool = False

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "embedding"


@dataclass(frozen=True, slots=True)
class Head:
    """Final norm, product with the vocabulary and loss; `tied`: the matrix is the embedding's, on the same rank."""

    hidden: int
    vocab: int
    norm_vectors: int
    tied: bool = False

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "tied head" if self.tied else "head"


Kind = Block | Embedding | Head
"""Whatever a pipeline stage may hold."""


@dataclass(frozen=True, slots=True)
class Structure:
    """A model as the sequence of what its stages hold.

    Attributes:
        kinds: the distinct blocks, the embedding, the head, and where they share a matrix, the head on the same rank.
        order: which kind every layer is, first to last; blocks: how many of the kinds are layers.
    """

    kinds: tuple[Kind, ...]
    order: tuple[int, ...]
    blocks: int

    @property
    def tied(self) -> bool:
        """Head and embedding share their matrix."""
        return len(self.kinds) == self.blocks + 3
