"""What one operator costs on one accelerator: matrix products, attention cores, element-wise passes.

Every time is a roofline with a rounded corner plus a fixed cost per kernel:

    t = t_kernel + (t_compute^4 + t_memory^4)^(1/4)

The fourth-power mean is at most 19 % above the larger term (equal terms) and converges to it as they part; it is
computed with square roots, which IEEE 754 rounds correctly, so that a number and an array give the same bits.
Efficiencies come from the accelerator's profile. Seconds throughout.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from planner.architecture import Gemm
from planner.plan import Num
from planner.schema.hardware import Accelerator

Direction = Literal["forward", "backward"]

SCORE_BYTES = {"forward": 13.0, "backward": 15.0}
"""Bytes moved per attention score by unfused kernels: scale, mask, softmax, dropout, in and out of both products."""

FLASH_BACKWARD = 2.5
"""FLOPs of a flash backward pass over its forward: five products against two (Dao 2023, arXiv:2307.08691, 4.1)."""


def smooth_max(x: Num, y: Num) -> Num:
    """(x^4 + y^4)^(1/4): the larger of two overlapping times, with a rounded corner."""
    x2, y2 = x * x, y * y
    return np.sqrt(np.sqrt(x2 * x2 + y2 * y2))


def peak(accelerator: Accelerator, precision: str) -> float:
    """Dense FLOP/s at a precision. Raises ValueError where the part has none (V100 and bf16)."""
    value: float | None = getattr(accelerator.peak, precision)
    if value is None:
        raise ValueError(f"{accelerator.name} has no {precision}")
    return value


def product(accelerator: Accelerator, precision: str, m: Num, n: Num, k: Num, out_bytes: float) -> Num:
    """Time of one product [m, k] x [k, n] without its kernel's fixed cost.

    t_compute = 2*m*n*k / (peak * e * x(m)*x(n)*x(k)), x(d) = d / (d + d0): a dimension of size d0 halves the rate.
    t_memory = (2*(m*k + k*n) + out_bytes*m*n) / (bandwidth * e_mem).
    A100, m = n = k = 4096: e = .80, d0 = 81 give 75.4 % of 312 TFLOP/s: 0.584 ms.
    """
    eff = accelerator.efficiency
    d0 = eff.gemm_dim
    saturation = (m / (m + d0)) * (n / (n + d0)) * (k / (k + d0))
    compute = 2.0 * m * n * k / (peak(accelerator, precision) * eff.gemm * saturation)
    moved = 2.0 * (m * k + k * n) + out_bytes * m * n
    return smooth_max(compute, moved / (accelerator.bandwidth * eff.memory))


def gemm_time(accelerator: Accelerator, precision: str, gemm: Gemm) -> Num:
    """Forward time of a linear layer; products that come in a group share one kernel launch."""
    once = product(accelerator, precision, gemm.m, gemm.n, gemm.k, 2.0)
    return accelerator.efficiency.kernel + gemm.count * once


def gemm_backward_time(accelerator: Accelerator, precision: str, gemm: Gemm, trained: bool = True) -> Num:
    """Backward time: the input's gradient, and the weight's (fp32 output, read and written) if it is trained."""
    time = accelerator.efficiency.kernel + gemm.count * product(accelerator, precision, gemm.m, gemm.k, gemm.n, 2.0)
    if trained:
        weight = product(accelerator, precision, gemm.k, gemm.n, gemm.m, 8.0)
        time = time + accelerator.efficiency.kernel + gemm.count * weight
    return time


def streaming_time(accelerator: Accelerator, moved: Num, kernels: float = 1.0) -> Num:
    """Time of kernels that only move bytes through device memory: kernels * t_kernel + bytes / (bandwidth * e_mem)."""
    eff = accelerator.efficiency
    return kernels * eff.kernel + moved / (accelerator.bandwidth * eff.memory)


def flash_time(accelerator: Accelerator, precision: str, square_flops: Num, direction: Direction) -> Num:
    """Causal flash attention: half of the square's FLOPs at the profile's attention efficiency.

    Backward takes 2.5 times the FLOPs at its own efficiency.
    """
    eff = accelerator.efficiency
    rate = peak(accelerator, precision)
    if direction == "forward":
        return eff.kernel + 0.5 * square_flops / (rate * eff.attention)
    return 2.0 * eff.kernel + 0.5 * FLASH_BACKWARD * square_flops / (rate * eff.attention_backward)


def unfused_time(
    accelerator: Accelerator,
    precision: str,
    heads: Num,
    seq: Num,
    span: Num,
    head_dim: float,
    value_dim: float,
    direction: Direction,
) -> Num:
    """Attention core out of plain kernels: batched products over the whole square, then softmax and dropout over it.

    `heads` counts sequences times heads on this rank; scores are heads*seq*span elements.
    """
    scores = product(accelerator, precision, seq, span, head_dim, 2.0)
    context = product(accelerator, precision, seq, value_dim, span, 2.0)
    products = (1.0 if direction == "forward" else 2.0) * heads * (scores + context)
    moved = SCORE_BYTES[direction] * heads * seq * span
    return 2.0 * accelerator.efficiency.kernel + products + streaming_time(accelerator, moved, 3.0)
