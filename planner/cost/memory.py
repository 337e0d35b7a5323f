"""Where the bytes of one rank go.

ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054, section 5) divides by the data-parallel degree n: optimizer states
from stage 1, gradients from stage 2, weights from stage 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.parts import Sum
from planner.plan import Num
from planner.schema.formats import STORED
from planner.schema.recipe import Recipe, size


@dataclass(frozen=True, slots=True)
class Memory(Sum):
    """Bytes on one rank at its peak; the parts sum to `total`."""

    weights: Num
    gradients: Num
    optimizer: Num
    activations: Num
    logits: Num
    buffers: Num
    reserve: Num


@dataclass(frozen=True, slots=True)
class StateBytes:
    """Bytes per trained parameter.

    Attributes:
        weight: the resident copy; gradient: the buffer micro-batches add into.
        master: fp32 weights; moments: both of Adam's; gathered: of the weight on the wire.
    """

    weight: float
    gradient: float
    master: float
    moments: float
    gathered: float = STORED["bf16"]

    @property
    def optimizer(self) -> float:
        """Master weights and moments."""
        return self.master + self.moments

    @property
    def traffic(self) -> float:
        """Bytes that an update moves: gradient read, states read and written, weight written (and read, if no master).

        "adam": 4 + 2*12 + 2 = 30.
        """
        return self.gradient + 2.0 * self.optimizer + self.weight * (1.0 if self.master else 2.0)


def adam_states(optimizer: str, gradient_bytes: float, recipe: Recipe) -> StateBytes:
    """Itemised bytes per parameter of an optimizer.

    "adam": 2 + 4 + 4 + 8 = 18 with fp32 gradients (Megatron-LM training/theoretical_memory_usage.py). "adam-bf16": no
    master, 16-bit gradients and moments, 2 + 2 + 0 + 4 = 8. "adam-8bit": block-wise 8-bit moments with one fp32 scale
    per 256 elements as bitsandbytes has them, 2 + 2 + 0 + 2.03 (Dettmers et al. 2021, arXiv:2110.02861).
    """
    weight, wire = size(recipe.weights), size(recipe.gathered)
    gradient, half = size(recipe.gradients) if recipe.gradients else gradient_bytes, STORED["bf16"]
    return {
        "adam": StateBytes(weight, gradient, size(recipe.master), 2.0 * size(recipe.moments), wire),
        "adam-bf16": StateBytes(weight, half, 0.0, 2.0 * half, wire),
        "adam-8bit": StateBytes(weight, half, 0.0, 2.0 * (STORED["int8"] + STORED["fp32"] / 256.0), wire),
    }[optimizer]


def sharded(whole: Num, zero: Num, stage: int, ranks: Num) -> Num:
    """Bytes left on one rank: whole / ranks from ZeRO stage `stage` on."""
    return np.where(zero >= stage, whole / ranks, whole)[()]
