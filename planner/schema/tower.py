"""What stands in front of a decoder that sees: a vision encoder, and the projector into the decoder's width."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from planner.schema.base import Positive, Record, Whole
from planner.schema.quantities import Heads, Layers, Tokens, Width


class Linear(Record):
    """One product of a projector.

    Attributes:
        inputs, outputs: sides of a matrix; count: matrices side by side (a gate and its other half are 2).
        bias: of every output.
    """

    inputs: Width
    outputs: Width
    count: Positive = 1
    bias: bool = False


class Projector(Record):
    """From patches to the decoder's width: products one after the other, an activation function between each two.

    Attributes:
        products: first to last; norm: parameters of its norms; copies: of it (DeepStack has several beside the first).
    """

    products: tuple[Linear, ...]
    norm: Whole = 0
    copies: Positive = 1

    @model_validator(mode="after")
    def _products_follow(self) -> Projector:
        if not self.products:
            raise ValueError("products: there has to be one")
        for first, then in zip(self.products, self.products[1:], strict=False):
            if first.outputs != then.inputs:
                raise ValueError(f"products: {first.outputs} outputs are no {then.inputs} inputs")
        return self


class Tower(Record):
    """A vision encoder: patches of an image, layers of attention that looks both ways, and projectors.

    Attributes:
        layers, hidden, ffn, heads: as of a model; heads have hidden / heads columns each.
        patch: pixels of a patch's side; channels: of a pixel; frames: that a patch spans in time (Qwen2-VL: 2).
        patch_bias: of the product that embeds patches; positions: learned ones; class_tokens: beside every image's.
        mlp, norm: as of a model; bias: too, and "outputs" is all but queries, keys and values (InternViT-6B).
        qk_norm: queries and keys are normed over all heads.
        layer_scale: each part is multiplied by a learned vector (InternViT).
        norms_outside: before the first layer and behind the last one.
        window: tokens of a window that attention stays in; window_every: one layer in so many attends to all.
        merge: patches of the side of a square that becomes one token of the decoder.
        image: pixels of the side that every image is brought to; absent: it keeps its size.
        projectors: from the last layer and, of DeepStack, from others.
    """

    layers: Layers
    hidden: Width
    ffn: Width
    heads: Heads
    patch: Positive
    channels: Positive = 3
    frames: Positive = 1
    patch_bias: bool = False
    positions: Whole = 0
    class_tokens: Whole = 0
    mlp: Literal["glu", "gelu"] = "gelu"
    bias: Literal["none", "qkv", "outputs", "all"] = "all"
    qk_norm: bool = False
    norm: Literal["rmsnorm", "layernorm"] = "layernorm"
    layer_scale: bool = False
    norms_outside: Whole = 0
    window: Tokens | None = None
    window_every: Whole = 0
    merge: Positive = 1
    image: Width | None = None
    projectors: tuple[Projector, ...]

    @model_validator(mode="after")
    def _heads_divide(self) -> Tower:
        if self.hidden % self.heads:
            raise ValueError(f"{self.heads} heads do not divide hidden {self.hidden}")
        if self.image is not None and self.image < self.patch * self.merge:
            raise ValueError(f"image {self.image} is less than {self.merge} patches of {self.patch}")
        return self

    def patches(self, pixels: int) -> int:
        """Patches of a square image. Gemma 3, 896 pixels of 14: 64*64 = 4,096; Qwen2.5-VL, 1,024 pixels: (2*37)^2."""
        if self.image is not None:
            return (self.image // self.patch) ** 2
        return (max(round(pixels / (self.patch * self.merge)), 1) * self.merge) ** 2

    def tokens(self, pixels: int) -> int:
        """Tokens of the decoder for an image: patches / merge^2. Gemma 3: 4,096 / 16 = 256."""
        return self.patches(pixels) // self.merge**2
