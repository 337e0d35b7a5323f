"""What of a vision tower is no layer, as records: what embeds patches, and what projects them."""

from __future__ import annotations

from planner.frozen import frozen


@frozen
class Patches:
    """What embeds the patches of images, and the norms before and behind a tower's layers.

    Attributes:
        inputs: numbers of a patch; positions: learned ones; norms: of norm_vectors each.
    """

    hidden: int
    inputs: int
    bias: bool
    positions: int
    class_tokens: int
    norms: int
    norm_vectors: int
    trained: bool = True

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "patches"


@frozen
class Joint:
    """A product of a projector: `count` matrices of inputs by outputs."""

    inputs: int
    outputs: int
    count: int
    bias: bool


@frozen
class Projection:
    """From patches to the decoder's tokens, of which each stands for `merge` times `merge` of them.

    Attributes:
        norm: parameters of its norms.
    """

    hidden: int
    merge: int
    products: tuple[Joint, ...]
    norm: int
    trained: bool = True

    @property
    def title(self) -> str:
        """As explanations name it."""
        return "projector"
