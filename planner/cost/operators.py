"""What one operator costs on one accelerator: matrix products, attention cores, element-wise passes.

Every time is a roofline with a rounded corner plus a fixed cost per kernel:

    t = t_kernel + (t_compute^4 + t_memory^4)^(1/4)

The fourth-power mean is at most 19 % above the larger term (equal terms) and converges to it as they part; it is
computed with square roots, which IEEE 754 rounds correctly, so that a number and an array give the same bits.
Efficiencies come from the accelerator's profile. Seconds throughout.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from planner.blocks.operator import Core, Product, Scan
from planner.cost.quantize import rate
from planner.formula import formula, primitive
from planner.plan import Num
from planner.schema.formats import COMPUTED, STORED
from planner.schema.hardware import Accelerator, AttentionRate, Inference
from planner.schema.workload import STORING

Direction = Literal["forward", "backward"]

ROOFLINE = "Williams 2009, doi:10.1145/1498765.1498785"

SCORE_BYTES = {"unfused": {"forward": 13.0, "backward": 15.0}, "eager": {"forward": 29.0, "backward": 33.0}}
"""Bytes moved per attention score outside both products: one fused kernel for scale, mask and softmax, and dropout; or
one kernel each, with the softmax in fp32."""

FLASH1 = 0.72
"""Rate of FlashAttention's first version over the second's (Hagemann et al. 2023)."""

HEAD_DIM = 20.0
"""Head size at which the work per score (exponentials) costs as much as its products: d / (d + 20) of the rate. Heads
of 64 then reach 88 % of the rate of 128, as in the forward figures of Dao 2023 (arXiv:2307.08691, section 4.1)."""

NARROW_CORE = 1.3
"""Rate of an 8-bit attention core over the 16-bit one: 1.22 to 1.40 at 2k to 16k tokens on H100 (NVIDIA aiconfigurator,
context attention of TensorRT-LLM 1.3); the exponentials stay as they are."""

FLASH_BACKWARD = 2.5
"""FLOPs of a flash backward pass over its forward: five products against two (Dao 2023, arXiv:2307.08691, 4.1)."""


@primitive
def smooth_max(x: Num, y: Num) -> Num:
    """(x^4 + y^4)^(1/4): the larger of two overlapping times, with a rounded corner."""
    x2, y2 = x * x, y * y
    larger: Num = np.sqrt(np.sqrt(x2 * x2 + y2 * y2))
    return larger


def peak(accelerator: Accelerator, precision: str) -> float:
    """Dense FLOP/s in a format. Raises ValueError where the part has none (V100 and bf16)."""
    value: float | None = getattr(accelerator.peak, COMPUTED.get(precision, precision))
    if value is None:
        raise ValueError(f"{accelerator.name} has no {precision}")
    return value


def product(
    accelerator: Accelerator, precision: str, m: Num, n: Num, k: Num, out_bytes: float, grouped: bool = False
) -> Num:
    """Time of one product [m, k] x [k, n] without its kernel's fixed cost.

    t_compute = 2*m*n*k / (peak * e * x(m)*x(n)*x(k)), x(d) = d / (d + d0): a dimension of size d0 halves the rate.
    t_memory = (bytes*(m*k + k*n) + out_bytes*m*n) / (bandwidth * e_mem), bytes of an operand's element: 2 in 16 bit.
    A100, m = n = k = 4096: e = .80, d0 = 81 give 75.4 % of 312 TFLOP/s: 0.584 ms.
    """
    eff = accelerator.efficiency
    share = rate(accelerator, precision, grouped)
    d0 = share.gemm_dim
    saturation = (m / (m + d0)) * (n / (n + d0)) * (k / (k + d0))
    compute = 2.0 * m * n * k / (peak(accelerator, precision) * share.gemm * saturation)
    moved = STORED[precision] * (m * k + k * n) + out_bytes * m * n
    return smooth_max(compute, moved / (accelerator.bandwidth * eff.memory))


@formula("product", ROOFLINE, "s")
def gemm_time(accelerator: Accelerator, precision: str, gemm: Product) -> Num:
    """Forward time of a linear layer; products that come in a group share one kernel launch."""
    once = product(accelerator, precision, gemm.m, gemm.n, gemm.k, STORED["bf16"], gemm.grouped)
    return accelerator.efficiency.kernel + gemm.count * once


@formula("product, input gradient", ROOFLINE, "s")
def input_gradient_time(accelerator: Accelerator, precision: str, gemm: Product) -> Num:
    """Backward time of a linear layer for its input: the product with the transposed weight."""
    once = product(accelerator, precision, gemm.m, gemm.k, gemm.n, STORED["bf16"], gemm.grouped)
    return accelerator.efficiency.kernel + gemm.count * once


@formula("product, weight gradient", ROOFLINE, "s")
def weight_gradient_time(accelerator: Accelerator, precision: str, gemm: Product) -> Num:
    """Backward time of a linear layer for its weight: output in fp32, read and written."""
    once = product(accelerator, precision, gemm.k, gemm.n, gemm.m, 2.0 * STORED["fp32"], gemm.grouped)
    return accelerator.efficiency.kernel + gemm.count * once


@formula("streaming", ROOFLINE, "s")
def streaming_time(accelerator: Accelerator, moved: Num, kernels: Num = 1.0) -> Num:
    """Time of kernels that only move bytes through device memory: kernels * t_kernel + bytes / (bandwidth * e_mem)."""
    eff = accelerator.efficiency
    return kernels * eff.kernel + moved / (accelerator.bandwidth * eff.memory)


class FlashRate(NamedTuple):
    """Shares of the 16-bit peak that a flash kernel reaches, and the sequence and head size that halve them."""

    forward: float
    backward: float
    half: float
    head: float


def flash_rate(accelerator: Accelerator, kernel: str) -> FlashRate:
    """What a flash kernel reaches on a part: its own record, else that of the part's usual kernel."""
    own: AttentionRate | None = getattr(accelerator.attention, kernel, None)
    if own is not None:
        return FlashRate(own.forward, own.backward, own.half, HEAD_DIM if own.head is None else own.head)
    eff, version = accelerator.efficiency, FLASH1 if kernel == "flash1" else 1.0
    head = HEAD_DIM if eff.attention_head is None else eff.attention_head
    return FlashRate(version * eff.attention, version * eff.attention_backward, eff.attention_seq, head)


def core_rate(
    accelerator: Accelerator, precision: str, seq: Num, head_dim: float, half: float, head: float = HEAD_DIM
) -> Num:
    """FLOP/s of a flash kernel at an efficiency of 1: 16-bit peak * s / (s + s0) * d / (d + d0) over its value at 128.

    d0 is a kernel's own forward and below heads of 128: on GB200 cuDNN gains 2 to 9 % from 128 to 256, as 20 gives.
    """
    d0 = head if head_dim < 128.0 else HEAD_DIM
    shape = seq / (seq + half) * (head_dim / (head_dim + d0)) * ((128.0 + d0) / 128.0)
    if COMPUTED.get(precision) == "fp8":
        return NARROW_CORE * peak(accelerator, "bf16") * shape
    return peak(accelerator, precision) * shape


def flash_time(
    accelerator: Accelerator,
    precision: str,
    square_flops: Num,
    seq: Num,
    head_dim: float,
    direction: Direction,
    kernel: str = "flash",
) -> Num:
    """Causal flash attention: half of the square's FLOPs at the kernel's efficiency on the part.

    Backward takes 2.5 times the FLOPs at its own efficiency; both hold for long sequences and heads of 128. Smaller
    ones wait for exponentials forward: of heads of 64 cuDNN's backward pass on H200 keeps 0.88 of its rate, its forward
    pass 0.79 (NVIDIA cudnn-frontend benchmark/sdpa_benchmark_training/results, gpt_oss beside llama3.1).
    """
    share, fixed = flash_rate(accelerator, kernel), accelerator.efficiency.kernel
    if direction == "forward":
        return fixed + prefill_core_time(accelerator, precision, square_flops, seq, head_dim, kernel)
    rate = core_rate(accelerator, precision, seq, head_dim, share.half)
    return 2.0 * fixed + 0.5 * FLASH_BACKWARD * square_flops / (rate * share.backward)


@formula("scan", "mamba_ssm ops/triton/ssd_combined.py", "s")
def scan_time(accelerator: Accelerator, precision: str, scan: Scan, fused: float, direction: Direction) -> Num:
    """A chunked scan: its products at the rate of large ones, less what tiles so small lose, over its bytes.

    There are enough of them, one for each head and chunk, to fill the accelerator: unlike one product with small sides
    they lose only inside a tile. Backward takes 2.5 times the FLOPs: of four products two are computed again, and each
    has two gradients (mamba_ssm ops/triton/ssd_combined.py).
    """
    eff, d0 = accelerator.efficiency, TILE
    sides = (scan.chunk / (scan.chunk + d0)) * (scan.width / (scan.width + d0)) * (scan.depth / (scan.depth + d0))
    factor = 1.0 if direction == "forward" else FLASH_BACKWARD
    compute = factor * scan.flops / (peak(accelerator, precision) * eff.gemm * sides)
    moved = factor * fused * scan.moved / (accelerator.bandwidth * eff.memory)
    return factor * scan.kernels * eff.kernel + smooth_max(compute, moved)


TILE = 64.0
"""Half-saturation of a side of products in batches: rows of a warp group's tile. On an H800 the scan of chunks of 256,
heads of 64 and states of 128 ran at 135 TFLOP/s of causal work, 0.20 of the peak with the whole square counted
(tile-ai/tilelang benchmark/mamba2/README.md); this gives 0.197."""


@formula("attention core", "Dao 2023, arXiv:2307.08691, 3.1 and 4.1", "s")
def core_time(
    accelerator: Accelerator, precision: str, core: Core, direction: Direction, kernel: str, pieces: Num = 1.0
) -> Num:
    """The attention core by the kernel that a job asks for: a flash kernel, or plain ones.

    A flash kernel may take its keys in `pieces`, a launch for each; every piece but one is merged into the others.
    """
    if kernel not in STORING:
        head_dim, side = (core.qk + core.value) / 2, np.minimum(core.computed, core.span / pieces)
        flops = core.square_flops * (core.computed / core.side)
        whole = flash_time(accelerator, precision, flops, side, head_dim, direction, kernel)
        launch = (1.0 if direction == "forward" else 2.0) * accelerator.efficiency.kernel
        return whole + (pieces - 1.0) * (launch + streaming_time(accelerator, merged_bytes(core, direction), 1.0))
    shape = (core.batch * core.heads, core.rows, core.span, core.qk, core.value)
    return unfused_time(accelerator, precision, *shape, direction, kernel)


def merged_bytes(core: Core, direction: Direction) -> Num:
    """Bytes to merge one piece into the rest, over three quarters of the rows (the causal halves that it met).

    Forward an output is read in 16 bit and added in fp32; backward gradients of queries, keys and values in 16 bit
    (Transformer Engine, pytorch/attention/dot_product_attention/context_parallel.py).
    """
    rows = 0.75 * core.batch * core.rows
    if direction == "forward":
        return rows * core.heads * core.value * (STORED["bf16"] + 2.0 * STORED["fp32"])
    return rows * (core.heads * core.qk + core.kv_heads * (core.qk + core.value)) * 3.0 * STORED["bf16"]


def unfused_time(
    accelerator: Accelerator,
    precision: str,
    heads: Num,
    seq: Num,
    span: Num,
    head_dim: float,
    value_dim: float,
    direction: Direction,
    kernel: str = "unfused",
) -> Num:
    """Attention core out of plain kernels: batched products over the whole square, then softmax and dropout over it.

    `heads` counts sequences times heads on this rank; scores are heads*seq*span elements.
    """
    scores = product(accelerator, precision, seq, span, head_dim, STORED["bf16"])
    context = product(accelerator, precision, seq, value_dim, span, STORED["bf16"])
    products = (1.0 if direction == "forward" else 2.0) * heads * (scores + context)
    moved = SCORE_BYTES[kernel][direction] * heads * seq * span
    return 2.0 * accelerator.efficiency.kernel + products + streaming_time(accelerator, moved, 3.0)


def inference(accelerator: Accelerator) -> Inference:
    """What kernels of inference reach; the bandwidth of training kernels where the profile does not say."""
    if accelerator.inference is not None:
        return accelerator.inference
    memory = accelerator.efficiency.memory
    return Inference(memory=memory, kv=memory, trust="assumed", source="efficiency of training kernels")


@formula("reading", ROOFLINE, "s")
def reading_time(accelerator: Accelerator, moved: Num, reached: float) -> Num:
    """Time to read bytes at a share of the bandwidth."""
    return moved / (accelerator.bandwidth * reached)


@formula("weights, compute", ROOFLINE, "s")
def linear_time(
    accelerator: Accelerator, of: str, gemm: Product, stored: float, tile: float | None = None
) -> tuple[Num, Num]:
    """A linear layer of inference: time to read weights of `stored` bytes per element, and what computing adds to it.

    t_memory = (stored*n*k + 2*m*(n + k)) / (bandwidth * e_mem)
    t_compute = 2*(m + m0)*(n + d0)*(k + d0) / (peak * e), together their rounded maximum. e and d0 are those of
    `product`; tiles are chosen for few rows, whose half-size m0 is smaller: the part's, that of kernels which widen
    weights where these are stored in fewer bytes than they are computed in, or an engine's own `tile`.
    """
    share, reached = inference(accelerator), rate(accelerator, FORMATS.get(of, of), gemm.grouped)
    moved = gemm.count * (stored * gemm.n * gemm.k + STORED["bf16"] * gemm.m * (gemm.n + gemm.k))
    memory = reading_time(accelerator, moved, share.memory)
    few = tile if tile is not None else _few_rows(share, stored < PRODUCTS[of])
    d0 = reached.gemm_dim
    flops = 2.0 * (gemm.m + few) * (gemm.n + d0) * (gemm.k + d0) * gemm.count
    return memory, smooth_max(flops / (peak(accelerator, of) * reached.gemm), memory) - memory


PRODUCTS = {"fp4": STORED["nvfp4"]} | {name: STORED[name] for name in ("fp8", "w8a8", "bf16", "fp16")}
"""Bytes of a weight that goes into products as it is stored."""


def _few_rows(share: Inference, widens: bool) -> float:
    return share.widened if widens and share.widened is not None else share.tokens


FORMATS = {"fp4": "nvfp4"}
"""Formats of products whose record in a profile has another name than the peak."""


@formula("cache, compute", ROOFLINE, "s")
def decode_core_time(
    accelerator: Accelerator, precision: str, cached: Num, flops: Num, kernel: str = "flash"
) -> tuple[Num, Num]:
    """Attention of one new token per sequence: time to read `cached` bytes of keys and values, and what computing adds.

    t_memory = bytes / (bandwidth * e_kv), t_compute = FLOPs / (peak * e_forward).
    """
    memory = reading_time(accelerator, cached, inference(accelerator).kv)
    compute = flops / (peak(accelerator, precision) * flash_rate(accelerator, kernel).forward)
    return memory, smooth_max(compute, memory) - memory


@formula("prompts' core", "Dao 2023, arXiv:2307.08691, 3.1", "s")
def prefill_core_time(
    accelerator: Accelerator, precision: str, square_flops: Num, seq: Num, head_dim: float, kernel: str = "flash"
) -> Num:
    """Causal attention core of a prompt: half of the square's FLOPs at the kernel's forward rate."""
    share = flash_rate(accelerator, kernel)
    rate = core_rate(accelerator, precision, seq, head_dim, share.half, share.head)
    return 0.5 * square_flops / (rate * share.forward)


NEWTON_SCHULZ = 5.0
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
    return weight.count * NEWTON_SCHULZ * (gram + square + back + 3.0 * accelerator.efficiency.kernel)
