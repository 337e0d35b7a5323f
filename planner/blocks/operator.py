"""What a block is made of: operators, each with its work, its parameters, what it keeps and what it sends.

All counts are of one micro-batch on one rank. Nothing here knows hardware; every quantity may be a number or an array.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from planner.frozen import frozen
from planner.plan import Num
from planner.schema.formats import STORED

Axis = Literal["tp", "cp", "ep", "etp"]
"""Groups that traffic inside a layer crosses."""


@frozen
class Images:
    """What a vision tower sees.

    Attributes:
        count: images of a sequence; patches: of each.
        heads: of a tower that is split over tp where it divides them; 0: every rank has all of it.
    """

    count: float = 0.0
    patches: float = 1.0
    heads: int = 0

    def ranks(self, tp: Num) -> Num:
        """Ranks that the tower is split over."""
        whole = self.heads > 0 and np.floor(self.heads / tp) * tp == self.heads
        return np.where(whole, tp, 1.0)[()]


TEXT = Images()


@frozen
class Share:
    """One rank's share of one micro-batch: letters as in docs/notation.md.

    Attributes:
        b: sequences of the micro-batch; seq: tokens each, over all cp ranks.
        tp, cp, ep, etp: degrees that split the model and the sequence; sp: sequence parallelism, 0 or 1.
        flash: attention scores are never stored.
        activation: bytes of one element that operators hand on, keep and send; operand: of a linear layer's kept input;
            dispatched: of tokens sent to experts. padded: the vocabulary is, for tp and its kernels.
        skew: tokens that the fullest rank of experts gets, over their mean.
        dispatcher: how tokens reach experts; paired: passes beside another micro-batch's, of all; apart: experts run
            one after the other; softmax: bytes of a score that its softmax keeps beside the format of activations.
        plain: as trainers run it: biases of experts are added by plain operations, not in the products' own kernel;
            what only a backward pass or a balancing loss reads is kept.
        images: what a vision tower sees.
    """

    b: Num
    seq: Num
    tp: Num = 1.0
    cp: Num = 1.0
    ep: Num = 1.0
    etp: Num = 1.0
    sp: Num = 0.0
    flash: bool = True
    activation: Num = STORED["bf16"]
    operand: Num = STORED["bf16"]
    dispatched: float = STORED["bf16"]
    padded: bool = True
    skew: float = 1.0
    dispatcher: str = "alltoall"
    paired: Num = 0.0
    apart: bool = False
    softmax: float = 0.0
    plain: bool = False
    images: Images = TEXT

    @property
    def tokens(self) -> Num:
        """b*s/cp."""
        return self.b * self.seq / self.cp

    @property
    def copied(self) -> Num:
        """Bytes of a narrow copy that a linear layer keeps of an element which another operator keeps, too."""
        return np.where(self.operand < self.activation, self.operand, 0.0)[()]

    @property
    def joined(self) -> Num:
        """Bytes of an element that tensor parallel ranks send: gathered as an operand, scattered as an activation."""
        return np.where(self.sp > 0, 0.5 * (self.operand + self.activation), self.activation)[()]

    @property
    def shard(self) -> Num:
        """Ranks that share what lies between tensor-parallel parts: tp with sequence parallelism, else 1."""
        return np.where(self.sp > 0, self.tp, 1.0)[()]


@frozen
class Product:
    """`count` matrix products of [m, k] by [k, n]: 2*m*n*k FLOPs each forward.

    Attributes:
        fused: matrices that lie side by side in it (q, k, v are three), each with an adapter of its own under LoRA;
            0: adapters leave it alone.
        wide: stays in 16 bit whatever the recipe (head, router). grouped: one for each expert.
        leaf: nothing before it wants a gradient.
    """

    m: Num
    n: Num
    k: Num
    count: Num = 1.0
    fused: int = 1
    wide: bool = False
    grouped: bool = False
    leaf: bool = False

    @property
    def flops(self) -> Num:
        """FLOPs forward; the backward takes as many for the input and for the weight gradient."""
        return 2.0 * self.m * self.n * self.k * self.count


@frozen
class Core:
    """The attention core: every query against the keys it may see.

    Attributes:
        heads: on this rank; rows: query tokens per sequence on this rank; span: keys.
        side: edge of the causal square with as many scores, what a window leaves of `span`; twice that of a core which
            sees both ways, whose scores are a whole square.
        batch: sequences; qk, value: widths of one head; kv_heads: of keys and values on this rank.
        computed: edge of the square that a flash kernel computes, whose tiles a window's edge cuts.
    """

    batch: Num
    heads: Num
    rows: Num
    span: Num
    side: Num
    qk: int
    value: int
    kv_heads: Num
    computed: Num

    @property
    def square_flops(self) -> Num:
        """FLOPs of both products over the full square, forward: 2*b*rows*side*(d_qk + d_v)*heads; half are causal."""
        return 2.0 * self.batch * self.rows * self.side * (self.qk + self.value) * self.heads


@frozen
class Stream:
    """Element-wise work: `moved` bytes forward if ideally fused, in `kernels` launches.

    Attributes:
        mirrored: backward moves as much as forward.
    """

    moved: Num
    kernels: Num
    mirrored: bool = False


@frozen
class Scan:
    """A recurrence over the sequence in chunks: small products within and between chunks.

    Attributes:
        flops: of those products, forward; moved: bytes, forward; kernels: launches.
        chunk, width, depth: sides of a product: tokens of a chunk, width of a head, of its state.
    """

    flops: Num
    moved: Num
    kernels: float
    chunk: int
    width: int
    depth: int


@frozen
class Logits:
    """The loss over `rows` tokens and this rank's `columns` of the vocabulary, of which tp ranks have as many each."""

    rows: Num
    columns: Num
    tp: Num


Work = Product | Core | Stream | Scan | Logits


@frozen
class Traffic:
    """What one pass sends.

    Attributes:
        axis: the group; kind: the collective; bytes: its whole message; calls: how often in a pass.
        copies: of a dispatch, experts that each token visits, in `among` of `groups` of them; its bytes are one copy of
            this rank's tokens.
    """

    axis: Axis
    kind: Literal["all_reduce", "all_to_all", "dispatch"]
    bytes: Num
    calls: Num = 1.0
    copies: int = 1
    groups: int = 1
    among: int = 1


@frozen
class Cache:
    """What a mixer keeps of a sequence on this rank for the tokens to come.

    Attributes:
        each: elements of every token; kept: tokens that stay, the last ones; read: of these, how many a new one meets.
        bytes: of an element, where it is not the cache's format that decides.
        state: bytes whatever the length, which every token reads and writes.
        flops: of a new token with each that it meets.
    """

    each: Num = 0.0
    kept: float = np.inf
    read: float = np.inf
    bytes: float | None = None
    state: Num = 0.0
    flops: Num = 0.0

    def held(self, length: Num, element: float) -> Num:
        """Bytes of a sequence of so many tokens: each * min(length, kept) * bytes + state."""
        return self.each * np.minimum(length, self.kept) * (self.bytes or element) + self.state

    def met(self, context: Num) -> Num:
        """Tokens of the context that a new one meets."""
        return np.minimum(context, min(self.kept, self.read))


@frozen
class Operator:
    """One operator of a block.

    Attributes:
        name: as explanations print it; part: component that its parameters count under.
        work: what it computes or moves; None where others do (a look-up, a mask).
        weights: parameters on this rank; expert: they are split over ep instead of being copied to its ranks.
        saved: bytes that it leaves for the backward pass: its output where that is read again, masks, statistics.
        working: bytes that live only while its own backward pass runs.
        traffic: what it sends; modules: recompute modules that run it again (Megatron-LM's --recompute-modules names).
        feeds: module whose input is what it leaves (Megatron-LM's --offload-modules names).
        cache: what it keeps for later tokens when serving.
    """

    name: str
    part: str
    work: Work | None = None
    weights: Num = 0.0
    expert: bool = False
    saved: Num = 0.0
    working: Num = 0.0
    traffic: tuple[Traffic, ...] = ()
    modules: tuple[str, ...] = ()
    feeds: str = ""
    cache: Cache | None = None

    def within(self, modules: tuple[str, ...]) -> bool:
        """Whether one of these recompute modules runs it again."""
        return any(name in modules for name in self.modules)


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
