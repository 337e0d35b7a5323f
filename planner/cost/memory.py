"""Where the bytes of one rank go.

ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054, section 5) divides by the data-parallel degree n: optimizer states
from stage 1, gradients from stage 2, weights from stage 3.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.frozen import frozen
from planner.parts import Sum
from planner.plan import Num
from planner.schema.formats import STORED
from planner.schema.recipe import Recipe, size


@frozen
class Memory(Sum):
    """Bytes on one rank at its peak; the parts sum to `total`."""

    weights: Num
    gradients: Num
    optimizer: Num
    activations: Num
    logits: Num
    buffers: Num
    reserve: Num


@frozen
class StateBytes:
    """Bytes per trained parameter.

    Attributes:
        weight: the resident copy; gradient: the buffer micro-batches add into.
        master: fp32 weights; moments: both of Adam's; gathered: of the weight on the wire.
        ends: further moments of embedding and head; paged: moments are moved in and out for the update.
    """

    weight: float
    gradient: float
    master: float
    moments: float
    gathered: float = STORED["bf16"]
    ends: float = 0.0
    paged: bool = False

    @property
    def optimizer(self) -> float:
        """Master weights and moments."""
        return self.master + self.moments

    @property
    def resident(self) -> float:
        """Those of them that stay on the device."""
        return self.master if self.paged else self.optimizer

    @property
    def traffic(self) -> float:
        """Bytes that an update moves: gradient read, states read and written, weight written (and read, if no master).

        "adam": 4 + 2*12 + 2 = 30.
        """
        return self.gradient + 2.0 * self.optimizer + self.weight * (1.0 if self.master else 2.0)


@frozen
class Optimizer:
    """What an optimizer keeps of every trained parameter.

    Attributes:
        words: as headers say it; source: whose code or paper.
        moments: bytes per parameter of a matrix; None: two in the recipe's format. ends: further ones of embedding and
            head, which matrix optimizers leave to Adam.
        master: fp32 weights beside those of the products; without, gradients are in 16 bit as well.
        paged: moments lie in memory that the driver moves between host and device.
        in_backward: each parameter is updated, and its gradient freed, as soon as the backward pass has it.
    """

    words: str
    source: str
    moments: float | None = None
    ends: float = 0.0
    master: bool = True
    paged: bool = False
    in_backward: bool = False


BLOCKWISE = 2.0 * (STORED["int8"] + STORED["fp32"] / 256.0)
"""Two 8-bit moments with one fp32 scale per 256 elements (Dettmers et al. 2021, arXiv:2110.02861)."""

_MEGATRON, _BITSANDBYTES = "Megatron-LM core/optimizer/optimizer_config.py", "bitsandbytes optim/adamw.py"

OPTIMIZERS = {
    "adam": Optimizer("Adam with fp32 states", "Megatron-LM training/theoretical_memory_usage.py"),
    "adam-bf16": Optimizer("Adam with bf16 states", "PyTorch torch/optim/adamw.py", 4.0, master=False),
    "adam-bf16-sr": Optimizer(
        "Adam with bf16 states, rounded stochastically", "torchao optim/adam.py", 4.0, master=False
    ),
    "adam-bf16-moments": Optimizer("Adam with fp32 master weights and bf16 moments", _MEGATRON, 4.0),
    "adam-fp8-moments": Optimizer("Adam with fp32 master weights and fp8 moments", _MEGATRON, 2.0),
    "adam-8bit": Optimizer("8-bit Adam", _BITSANDBYTES, BLOCKWISE, master=False),
    "adam-paged": Optimizer("paged Adam", _BITSANDBYTES, 8.0, master=False, paged=True),
    "adam-8bit-paged": Optimizer("paged 8-bit Adam", _BITSANDBYTES, BLOCKWISE, master=False, paged=True),
    "adafactor": Optimizer("Adafactor", "Shazeer 2018, arXiv:1804.04235", 0.0, master=False),
    "muon": Optimizer("Muon, Adam for embedding and head", "Liu 2025, arXiv:2502.16982, 2.2", 4.0, ends=4.0),
    "sgd": Optimizer("SGD", "PyTorch torch/optim/sgd.py", 0.0, master=False),
}
OPTIMIZERS |= {
    f"{name}-in-backward": replace(
        OPTIMIZERS[name], words=f"{OPTIMIZERS[name].words} in the backward pass", in_backward=True
    )
    for name in ("adam", "adam-bf16", "adam-8bit", "sgd")
}
"""By name. Updates in the backward pass: Lv 2023, arXiv:2306.09782 (LOMO); torchtune's optimizer_in_bwd. Adafactor's
rows and columns of a second moment are a few in ten thousand of a matrix and left out."""


def optimizer_states(optimizer: str, gradient_bytes: float, recipe: Recipe) -> StateBytes:
    """Itemised bytes per parameter of an optimizer.

    "adam": 2 + 4 + 4 + 8 = 18 with fp32 gradients. "adam-bf16": no master, 16-bit gradients and moments, 2 + 2 + 0 + 4
    = 8. "adam-8bit": 2 + 2 + 0 + 2.03.
    """
    one, weight, wire = OPTIMIZERS[optimizer], size(recipe.weights), size(recipe.gathered)
    moments = 2.0 * size(recipe.moments) if one.moments is None else one.moments
    if not one.master:
        return StateBytes(weight, STORED["bf16"], 0.0, moments, wire, one.ends, one.paged)
    gradient = size(recipe.gradients) if recipe.gradients else gradient_bytes
    return StateBytes(weight, gradient, size(recipe.master), moments, wire, one.ends, one.paged)


def sharded(whole: Num, zero: Num, stage: int, ranks: Num) -> Num:
    """Bytes left on one rank: whole / ranks from ZeRO stage `stage` on."""
    return np.where(zero >= stage, whole / ranks, whole)[()]


def states_said(optimizer: str, recipe: Recipe) -> str:
    """What headers say of an optimizer whose moments and master weights are as the recipe has them."""
    words = OPTIMIZERS[optimizer].words
    if recipe.moments == recipe.master:
        return words.replace("fp32 states", f"{recipe.master} states")
    return words.replace("fp32 states", f"{recipe.master} master weights and {recipe.moments} moments")
