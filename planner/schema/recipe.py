"""A recipe: the number format of every class of tensor in training."""

from typing import Annotated

from pydantic import Field

from planner.schema.base import Name, Profile, Record
from planner.schema.formats import STORED, Format


class Products(Record):
    """Formats in which both operands of a linear layer's three products are read."""

    forward: Format
    input_gradient: Format
    weight_gradient: Format


class Quantize(Record):
    """How 16-bit tensors become operands of narrow products.

    Attributes:
        passes: over the tensor: 2 where its largest value is looked for before it is cast, else 1.
        copies: written: 2 where blocks lie along rows and, a second time, along columns.
    """

    passes: Annotated[int, Field(ge=1, le=4)]
    copies: Annotated[int, Field(ge=1, le=2)]


class Primary(Record):
    """Weights that are kept in the products' format alone: how they travel, and Megatron-LM's switches for it."""

    gathered: Format
    megatron: tuple[Name, ...] = ()


class Spelling(Record):
    """How frameworks are asked for a recipe; absent: they cannot be.

    Attributes:
        megatron: options of Megatron-LM beside --bf16 or --fp16.
        torchtitan: a converter of [model], and the `recipe_name` of its section.
    """

    megatron: dict[Name, Name] | None = None
    torchtitan: tuple[Name, Name] | None = None


class Recipe(Profile):
    """What `--precision` names. Every size of an element in training comes from here.

    Attributes:
        products: of linear layers inside blocks.
        activations: of everything that operators hand on, send and keep; also of embedding, router, head and the
            stages' boundaries. attention: of both products of the attention core.
        operands: of the inputs that linear layers keep for their weight gradient, and that tensor parallel ranks gather
            in front of them; dispatched: of tokens on their way to experts.
        weights: of the copy that is resident; gathered: of weights on the wire; base: of frozen weights under adapters.
        gradients: of the buffer and its reduction; absent: as the framework's preset keeps them.
        master, moments: of the optimizer "adam"; other optimizers have their own.
        quantize: how operands are made; absent: products read 16 bit. Weights are cast once per step.
        primary: what --fp8-param-gather makes of the weights of narrow products; absent: nothing.
        spelled: in the options of frameworks.
    """

    products: Products
    attention: Format
    activations: Format
    operands: Format
    dispatched: Format
    weights: Format
    gathered: Format
    base: Format
    gradients: Format | None = None
    master: Format
    moments: Format
    quantize: Quantize | None = None
    primary: Primary | None = None
    spelled: Spelling = Spelling.model_construct()

    def formats(self, wide: bool) -> tuple[Format, Format, Format]:
        """Of a linear layer's products: forward, input gradient, weight gradient; those of activations where `wide`."""
        of = self.products
        narrow = (of.forward, of.input_gradient, of.weight_gradient)
        return (self.activations,) * 3 if wide else narrow

    @property
    def wide(self) -> bool:
        """Whether nothing is narrower than 16 bit."""
        named = {self.attention, self.operands, self.dispatched, *self.products.model_dump().values()}
        return all(size(one) >= size("bf16") for one in named)


def size(of: Format) -> float:
    """Bytes of one element, its share of the scales included: "mxfp8" 1 + 1/32."""
    return STORED[of]
