"""The blocks of a transformer as records: a mixer over tokens, then a feed-forward part, each behind a norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from planner.blocks.recurrence import DeltaRule, Lightning, SelectiveScan, ShortConvolution, StateSpace
from planner.blocks.seeing import Patches, Projection
from planner.frozen import frozen


@frozen
class Attention:
    """Multi-head attention with a heads in g groups.

    Attributes:
        heads, kv_heads, head_dim: a, g, d; window: causal window in tokens, None for all that came before.
        bias: of the q, k, v products; output_bias: of the output product.
        dropout: on the scores.
        gated: the core's output is multiplied by a gate of its own width, which the query product gives as well.
        sinks: one learned logit per head joins each softmax (gpt-oss).
        qk_norm: queries and keys are normed, every head by the same head_dim weights; wide: all heads as one vector.
        causal: a token sees those before it; else all tokens, or those of its own window, both ways.
        value_dim: width of a head's values, if another; keys_are_values: keys serve as such (Gemma 4), both are kept.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int | None = None
    bias: bool = False
    output_bias: bool = False
    dropout: bool = False
    qk_norm: bool = False
    wide: bool = False
    gated: bool = False
    sinks: bool = False
    causal: bool = True
    value_dim: int | None = None
    keys_are_values: bool = False

    @property
    def value(self) -> int:
        """Width of one head's values."""
        return self.value_dim or self.head_dim


@frozen
class Indexer:
    """Which `top_k` earlier tokens a query attends to, by scores of small heads (DeepSeek-V3.2, arXiv:2512.02556).

    Attributes:
        shared: the choice is an earlier layer's, and nothing is scored here (GLM-5.2).
    """

    heads: int
    head_dim: int
    top_k: int
    shared: bool = False


@frozen
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

    Attributes:
        kv_rank, query_rank: widths of the compressed keys and values, and queries (None: not compressed).
        nope, rope, value: per head, query/key width without and with rotary position, and value width.
        indexer: chooses the keys, where not all are attended to.
    """

    heads: int
    kv_rank: int
    query_rank: int | None
    nope: int
    rope: int
    value: int
    window: int | None = None
    dropout: bool = False
    indexer: Indexer | None = None

    @property
    def head_dim(self) -> int:
        """Width of one head's query and key."""
        return self.nope + self.rope


@frozen
class Parallel:
    """Attention and a state space side by side, their outputs added (Falcon-H1, arXiv:2507.22448)."""

    attention: Attention
    state: StateSpace


Mixer = Attention | Latent | StateSpace | DeltaRule | Lightning | SelectiveScan | ShortConvolution | Parallel


@frozen
class Dense:
    """A feed-forward part: up to `width` and down again, with a third matrix when gated."""

    width: int
    gated: bool
    bias: bool = False

    @property
    def matrices(self) -> int:
        """3 when gated (gate, up, down), else 2."""
        return 3 if self.gated else 2


@frozen
class Experts:
    """A mixture of experts: a router, `count` experts of which a token visits `top_k`, and shared ones it always does.

    Attributes:
        expert: the shape of one; shared: width of the part that every token visits.
        shared_gate: the shared part's output is multiplied by one learned sigmoid (Qwen2-MoE).
        latent: width to which tokens are brought down before they are sent to experts (Nemotron-3 Super).
        bias: the router has one per expert.
        groups, top_groups: experts lie in groups, of which a token's are in so many.
    """

    count: int
    top_k: int
    expert: Dense
    shared: int = 0
    shared_gate: bool = False
    latent: int | None = None
    bias: bool = False
    groups: int = 1
    top_groups: int = 1


@frozen
class Block:
    """One layer: a mixer, a feed-forward part, or one after the other.

    Attributes:
        sandwich: a second norm stands behind each part, before the addition (Gemma 2).
        hidden: h; norm_vectors: 2 for LayerNorm (weight and bias), 1 for RMSNorm.
        dropout: of both residual additions, with masks kept.
        wide: its products stay in 16 bit whatever the recipe.
    """

    hidden: int
    norm_vectors: int
    mixer: Mixer | None
    feed: Dense | Experts | None
    dropout: bool = False
    sandwich: bool = False
    wide: bool = False

    @property
    def parts(self) -> int:
        """2, or 1 where the mixer or the feed-forward part is missing."""
        return (self.mixer is not None) + (self.feed is not None)

    @property
    def title(self) -> str:
        """As explanations name it: "attention dense layer", "windowed attention experts layer"."""
        held = [type(part).__name__.lower() for part in (self.mixer, self.feed) if part is not None]
        window = ["windowed"] if getattr(self.mixer, "window", None) else []
        return " ".join([*window, *held, "layer", *(["in 16 bit"] if self.wide else [])])


@frozen
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


@frozen
class Head:
    """Final norm (no vectors: elsewhere), product with the vocabulary and loss.

    Attributes:
        tied: the matrix is the embedding's, on the same rank.
    """

    hidden: int
    vocab: int
    norm_vectors: int
    tied: bool = False

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "tied head" if self.tied else "head"


@frozen
class Prediction(Block):
    """A layer that predicts one token more (MTP; DeepSeek-V3, arXiv:2412.19437, 2.2): a block like the last one.

    Attributes:
        embedding, head: those of the model, which it shares. embeds: its rank needs a copy of the embedding.
    """

    embedding: Embedding = Embedding(0, 0)
    head: Head = Head(0, 0, 1)
    embeds: bool = False

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "prediction layer" + (" with an embedding" if self.embeds else "")


@frozen
class Encoder(Block):
    """A layer of a vision tower, which sees patches.

    Attributes:
        class_tokens: of every image beside its patches; trained: it has gradients.
    """

    class_tokens: int = 0
    trained: bool = True

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "vision windowed layer" if getattr(self.mixer, "window", None) else "vision layer"


Seeing = Encoder | Patches | Projection
"""What a tower is made of."""


@frozen
class Norm:
    """The final norm on its own: of a model with predictions it follows the last layer, wherever the head is."""

    hidden: int
    vectors: int

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "final norm"


Kind = Block | Embedding | Head | Norm | Patches | Projection
"""Whatever a pipeline stage may hold."""

Value = TypeVar("Value")
"""Of a kind: a number, or a record of them."""


@frozen
class Structure:
    """A model as the sequence of what its stages hold.

    Attributes:
        kinds: the distinct blocks, predictions (without and with an embedding) last; the embedding, the head; where
            they share a matrix, the head on the same rank; the final norm where it is not the head's.
        order: which kind every layer is, first to last; blocks: how many of the kinds are layers.
        tied: head and embedding share their matrix; predicted: how many of the layers, the last, are predictions.
        tower: how many the first stage has of the last kinds, which are those of a vision tower.
    """

    kinds: tuple[Kind, ...]
    order: tuple[int, ...]
    blocks: int
    tied: bool = False
    predicted: int = 0
    tower: tuple[int, ...] = ()

    @property
    def ends(self) -> int:
        """Place of the first kind that is a tower's."""
        return len(self.kinds) - len(self.tower)

    def layered(self, values: Sequence[Value]) -> list[Value | float]:
        """Those of the kinds that are layers, a tower's included; 0.0 for the others."""
        return [value if isinstance(kind, Block) else 0.0 for kind, value in zip(self.kinds, values, strict=True)]

    def loose(self, values: Sequence[Value]) -> list[Value | float]:
        """The others: ends, and what of a tower is no layer."""
        return [0.0 if isinstance(kind, Block) else value for kind, value in zip(self.kinds, values, strict=True)]

    def repeated(self, values: Sequence[Value]) -> list[Value | float]:
        """Those of the layers that may be run again: of a tower that has gradients."""
        both = zip(self.kinds, self.layered(values), strict=True)
        return [0.0 if still(kind) else value for kind, value in both]


def still(kind: Kind) -> bool:
    """Whether a kind has no gradients, nor anything before it: a part of a tower that is not trained."""
    return isinstance(kind, Seeing) and not kind.trained
