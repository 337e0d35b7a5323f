"""Products below 16 bit: what they reach on a part, and what making their operands costs (seconds).

Transformer Engine (common/recipe, pytorch/module/linear.py): every input and every output gradient of a linear layer is
cast as it comes, weights once per step.
"""

from __future__ import annotations

from typing import NamedTuple

from planner.formula import formula
from planner.plan import Num
from planner.schema.formats import COMPUTED
from planner.schema.hardware import Accelerator, ProductRate
from planner.schema.recipe import Recipe, size

SIXTEEN = ("bf16", "fp16")


class Rate(NamedTuple):
    """Shares of the peak and, for casts, of the memory bandwidth; the dimension that halves; a transposed copy."""

    gemm: float
    gemm_dim: float
    cast: float
    transposed: bool = False


def rate(accelerator: Accelerator, of: str, grouped: bool = False) -> Rate:
    """How much of its peak a format's products reach: the format's record, in 16 bit that of `Efficiency`.

    Products of experts, `grouped` by them, have a record of their own in 16 bit where they were measured. Where only
    the datasheet knows fp8 or int8, their products are taken to reach the share that 16-bit ones do.
    """
    wide = accelerator.formats.experts if grouped else None
    own: ProductRate | None = wide if of in SIXTEEN else getattr(accelerator.formats, of, None)
    eff = accelerator.efficiency
    if own is None:
        return Rate(eff.gemm, eff.gemm_dim, eff.memory)
    return Rate(own.gemm, own.gemm_dim, own.cast or eff.memory, own.transposed)


def computes(accelerator: Accelerator, of: str) -> bool:
    """Whether a part has a peak for the format and, for scaled blocks, kernels."""
    peak = getattr(accelerator.peak, COMPUTED[of])
    return peak is not None and (of in (*SIXTEEN, "fp8") or getattr(accelerator.formats, of) is not None)


def copies(accelerator: Accelerator, recipe: Recipe) -> int:
    """Narrow copies of a tensor that is read along both dimensions: 0 in 16 bit, 1 or 2 else."""
    if recipe.quantize is None:
        return 0
    of = recipe.products.forward
    return 2 if rate(accelerator, of).transposed else recipe.quantize.copies


@formula("quantisation", "NVIDIA/TransformerEngine common/recipe/__init__.py", "s")
def quantize_time(accelerator: Accelerator, recipe: Recipe, elements: Num, written: int) -> Num:
    """Cast of a 16-bit tensor: passes * t_kernel + elements * (passes * 2 + copies * bytes) / (bandwidth * e_cast).

    Nothing in 16 bit. fp8 by the tensor's own maximum: 2 * 2 + 2 * 1 = 6 bytes an element on Hopper.
    """
    if recipe.quantize is None:
        return 0.0
    passes, reached = float(recipe.quantize.passes), rate(accelerator, recipe.products.forward).cast
    moved = _moved(recipe, elements, written)
    return passes * accelerator.efficiency.kernel + moved / (accelerator.bandwidth * reached)


def _moved(recipe: Recipe, elements: Num, written: int) -> Num:
    """Bytes: 16 bit read in every pass, narrow copies written."""
    passes = float(recipe.quantize.passes) if recipe.quantize else 0.0
    return (passes * size(recipe.activations) + written * size(recipe.products.forward)) * elements


def resident_bytes(accelerator: Accelerator, recipe: Recipe, primary: bool, transposed: bool = True) -> float:
    """Bytes per weight of narrow products beside a 16-bit one: its narrow copies, which stay for the whole step.

    Primary ones replace the 16-bit weight: fp8 on Hopper, 2 * 1 + 0 = 2 bytes more, 2 * 1 - 2 = 0 in its place; where
    the `transposed` copy is made anew each time, 1 and -1.
    """
    kept = copies(accelerator, recipe)
    narrow = (kept if transposed else min(kept, 1)) * size(recipe.products.forward)
    return narrow - size(recipe.weights) if primary and recipe.primary else narrow


def gathered_bytes(recipe: Recipe, primary: bool) -> float:
    """Bytes on the wire that a weight of a narrow product takes less than others."""
    return size(recipe.gathered) - size(recipe.primary.gathered) if primary and recipe.primary else 0.0


def weights_time(accelerator: Accelerator, recipe: Recipe, weights: Num, primary: bool) -> Num:
    """Cast of `weights`; primary ones are only transposed: read and written once in their format."""
    written = copies(accelerator, recipe)
    moved = _moved(recipe, weights, written)
    if primary and recipe.primary:
        moved = 2.0 * size(recipe.products.forward) * (written - 1.0) * weights
    return moved / (accelerator.bandwidth * rate(accelerator, recipe.products.forward).cast)
