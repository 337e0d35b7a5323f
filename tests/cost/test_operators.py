"""Times of single operators: bounds, shares and directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.blocks.operator import Product as Gemm
from planner.blocks.operator import Scan
from planner.cost import operators
from tests.jobs import library

A100 = library().accelerator("a100-sxm4-80gb").value
PEAK, BANDWIDTH = 312e12, 2039e9
"""NVIDIA A100 datasheet, SXM4 80 GB: dense bf16 FLOP/s, bytes/s."""

POSITIVE = st.floats(1e-9, 1e3)
SIZE = st.integers(1, 65536).map(float)


@given(x=POSITIVE, y=POSITIVE)
def test_smooth_max(x: float, y: float) -> None:
    """Never below the larger, at most 19 % above, alike both ways round."""
    got = operators.smooth_max(x, y)
    assert max(x, y) * (1 - 1e-15) <= got <= 2**0.25 * max(x, y) * (1 + 1e-15)
    assert got == operators.smooth_max(y, x)


def test_smooth_max_of_equal_and_of_distant_times() -> None:
    """2^(1/4) at the corner; a tenth adds 0.0025 %."""
    assert operators.smooth_max(3.0, 3.0) == pytest.approx(3 * 2**0.25)
    assert operators.smooth_max(1.0, 0.1) == pytest.approx(1.000025, rel=1e-6)


@given(m=SIZE, n=SIZE, k=SIZE)
def test_a_product_takes_no_less_than_the_datasheet_allows(m: float, n: float, k: float) -> None:
    """Neither compute nor memory is beaten, and bf16 operands and result move once each."""
    once = operators.gemm_time(A100, "bf16", Gemm(m, n, k))
    assert once > 2 * m * n * k / PEAK
    assert once > 2 * (m * k + k * n + m * n) / BANDWIDTH


def test_products_gain_efficiency_with_size() -> None:
    """FLOP/s rise with every dimension, and the largest product comes near the profile's share of the peak."""
    sizes = 2.0 ** np.arange(5, 15)
    for shape in (lambda d: (d, 4096.0, 4096.0), lambda d: (4096.0, d, 4096.0), lambda d: (d, d, d)):
        rates = [2 * m * n * k / operators.gemm_time(A100, "bf16", Gemm(m, n, k)) for m, n, k in map(shape, sizes)]
        assert rates == sorted(rates)
    assert 0.95 * A100.efficiency.gemm < rates[-1] / PEAK < A100.efficiency.gemm


def test_grouped_products_share_one_launch() -> None:
    """64 experts: 64 times the work, one kernel."""
    one, many = (operators.gemm_time(A100, "bf16", Gemm(128.0, 1024.0, 512.0, count)) for count in (1.0, 64.0))
    kernel = A100.efficiency.kernel
    assert many - kernel == pytest.approx(64 * (one - kernel))


def test_backward_of_a_linear_layer() -> None:
    """Two products of the forward's FLOPs, only one when the weight is frozen."""
    gemm = Gemm(8192.0, 8192.0, 8192.0)
    forward = operators.gemm_time(A100, "bf16", gemm)
    frozen = operators.input_gradient_time(A100, "bf16", gemm)
    weight = operators.weight_gradient_time(A100, "bf16", gemm)
    assert frozen == pytest.approx(forward)
    assert weight == pytest.approx(forward, rel=0.04)
    assert weight > forward  # the weight's gradient is fp32, read and written


def test_streaming() -> None:
    """2,039 GB take a second at full bandwidth, 1.25 s at 80 % of it, and each kernel adds its launch."""
    launch = A100.efficiency.kernel
    assert operators.streaming_time(A100, BANDWIDTH, 3.0) == pytest.approx(1 / A100.efficiency.memory + 3 * launch)


def test_flash_backward_does_two_and_a_half_times_the_flops() -> None:
    """Dao 2023 (arXiv:2307.08691), section 4.1; causal attention halves the square. Long sequence, heads of 128."""
    square, endless = 1e15, 1e15
    eff = A100.efficiency
    forward = operators.flash_time(A100, "bf16", square, endless, 128.0, "forward") - eff.kernel
    backward = operators.flash_time(A100, "bf16", square, endless, 128.0, "backward") - 2 * eff.kernel
    assert forward * eff.attention * PEAK == pytest.approx(0.5 * square)
    assert backward * eff.attention_backward * PEAK == pytest.approx(1.25 * square)


def test_flash_gains_with_length_and_head_size() -> None:
    """At equal FLOPs; heads of 64 reach 80 to 95 % of the rate of 128 (Dao 2023, section 4.1, figures)."""
    lengths = [operators.flash_time(A100, "bf16", 1e15, s, 128.0, "forward") for s in (512.0, 2048.0, 8192.0, 1e9)]
    assert lengths == sorted(lengths, reverse=True)
    small, large = (operators.flash_time(A100, "bf16", 1e15, 8192.0, d, "forward") for d in (64.0, 128.0))
    assert 0.80 < large / small < 0.95


def test_unfused_attention_pays_for_its_scores() -> None:
    """More than the two products at peak, more than its scores through memory, and linear in heads."""
    heads, s, d = 64.0, 2048.0, 128.0
    time = [operators.unfused_time(A100, "bf16", n * heads, s, s, d, d, "forward") for n in (1, 2, 3)]
    assert time[0] > 4 * heads * s * s * d / PEAK + 10 * heads * s * s / BANDWIDTH
    assert time[2] - time[1] == pytest.approx(time[1] - time[0])
    flash = operators.flash_time(A100, "bf16", 4 * heads * s * s * d, s, d, "forward")
    assert time[0] > 2 * flash


def test_a_precision_that_the_part_lacks() -> None:
    """A100 has no fp8."""
    with pytest.raises(ValueError, match="fp8"):
        operators.peak(A100, "fp8")


class TestInference:
    """Linear layers and attention of a decode step, on an accelerator in round numbers."""

    part = library().accelerator("h100-sxm5-80gb").value

    def test_few_rows_read_the_weights(self) -> None:
        """One row of 8192 x 8192 fp8 weights: 67.1 MB over 0.94 * 3350 GB/s, and next to nothing for computing."""
        memory, compute = operators.linear_time(self.part, "fp8", Gemm(1.0, 8192, 8192), 1.0)
        share = self.part.inference.memory
        assert memory == pytest.approx((8192 * 8192 + 2 * 2 * 8192) / (3350e9 * share))
        assert 0 <= compute < 0.1 * memory

    def test_many_rows_compute(self) -> None:
        """Far beyond the ridge the time is FLOPs over the reached rate."""
        memory, compute = operators.linear_time(self.part, "fp8", Gemm(1e5, 8192, 8192), 1.0)
        rows, reached = 1e5 + self.part.inference.tokens, self.part.formats.fp8
        sides = (8192 + reached.gemm_dim) ** 2
        assert memory + compute == pytest.approx(2 * rows * sides / (1979e12 * reached.gemm), rel=0.01)

    def test_one_rate_for_training_and_serving(self) -> None:
        """A product so large that sizes do not matter takes the same time in both."""
        large = Gemm(2.0**20, 2.0**20, 2.0**20)
        serving = sum(operators.linear_time(self.part, "bf16", large, 2.0))
        assert serving == pytest.approx(operators.gemm_time(self.part, "bf16", large), rel=0.001)

    def test_stored_bytes_count_not_computed_ones(self) -> None:
        """Four-bit weights are read in a quarter of the time of 16-bit ones, whatever computes them."""
        wide, narrow = (operators.linear_time(self.part, "bf16", Gemm(0.0, 8192, 8192), w)[0] for w in (2.0, 0.5))
        assert narrow == pytest.approx(wide / 4)

    def test_a_part_without_inference_shares_uses_those_of_training(self) -> None:
        """And says that it is assumed."""
        plain = self.part.model_copy(update={"inference": None})
        found = operators.inference(plain)
        assert found.memory == found.kv == plain.efficiency.memory
        assert found.trust == "assumed"


def chunks(part: str) -> float:
    """Seconds of a scan that moves nothing: 8 x 4,096 tokens, 80 heads of 64, states of 128, chunks of 256."""
    flops = 8 * 4096 * 80 * (2.0 * 256 * 64 + 2.0 * 128 * 64)
    scan = Scan(flops, 0.0, 0.0, 256, 64, 128)
    return float(operators.scan_time(library().accelerator(part).value, "bf16", scan, 1.0, "forward"))


def test_a_scan_fills_the_accelerator() -> None:
    """0.645 ms on an H800 (tile-ai/tilelang benchmark/mamba2/README.md); B200 is no slower than a part of its kind."""
    assert chunks("h800-sxm5-80gb") == pytest.approx(0.645e-3, rel=0.1)
    assert chunks("b200-sxm-180gb") < 1.5 * chunks("gb200-nvl72")
