"""Muon's update of one weight matrix: what its orthogonalisation costs."""

from __future__ import annotations

import numpy as np

from planner.blocks.operator import Product
from planner.cost.operators import product
from planner.formula import formula
from planner.plan import Num
from planner.schema.formats import STORED
from planner.schema.hardware import Accelerator

STEPS = 5.0
"""Newton-Schulz iterations (Megatron-LM --muon-num-ns-steps)."""


@formula("orthogonalisation", "Liu 2025, arXiv:2502.16982, 2.1", "s")
def orthogonal_time(accelerator: Accelerator, weight: Product) -> Num:
    """Seconds for the matrices of a linear layer on one rank, each as it lies there (--muon-tp-mode blockwise).

    With sides a <= c, an iteration is X X^T (2*a^2*c FLOPs), its square (2*a^3) and their product with X (2*a^2*c), in
    16 bit. 4096 x 4096: 5 * 3 * 2 * 4096^3 = 2.06 TFLOP.
    """
    a, c, out = np.minimum(weight.n, weight.k), np.maximum(weight.n, weight.k), STORED["bf16"]
    gram = product(accelerator, "bf16", a, a, c, out)
    square = product(accelerator, "bf16", a, a, a, out)
    back = product(accelerator, "bf16", a, c, a, out)
    return weight.count * STEPS * (gram + square + back + 3.0 * accelerator.efficiency.kernel)
