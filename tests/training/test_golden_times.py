"""Step and layer times against published measurements of Megatron-LM on A100.

The profiles' constants were fitted to runs among these, so that the tests hold the formulas in place; they are no proof
of accuracy elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from planner.plan import Plan
from planner.schema.model import Model
from planner.training.estimate import estimate
from planner.training.job import Job
from planner.training.layer import pieces
from tests.jobs import job, model

SEQ, VOCABULARY = 2048, 51200
STEP_TOLERANCE = 0.10
LAYER_TOLERANCE = 0.12


@dataclass(frozen=True)
class Run:
    """One row of a paper's table; n GPUs, B sequences per step."""

    model: str
    n: int
    tp: int
    pp: int
    v: int
    b: int
    B: int
    seconds: float
    full: bool = True
    """Full recomputation without sequence parallelism; otherwise selective with it."""

    def plan(self, layers: int) -> Plan:
        """The run's plan."""
        dp = self.n // (self.tp * self.pp)
        return Plan(
            tp=self.tp,
            pp=self.pp,
            v=self.v,
            dp=dp,
            b=self.b,
            m=self.B // (self.b * dp),
            sp=0 if self.full else 1,
            recompute_layers=-(-layers // (self.pp * self.v)) if self.full else 0,
            schedule="interleaved" if self.v > 1 else "1f1b",
            modules=() if self.full else ("core_attn",),
        )


def workload(of: str | Model, n: int, batch: int) -> Job:
    """fp16, dropout as the models have it, attention out of plain kernels, on DGX A100 nodes."""
    return job(of, f"{n // 8}x8xa100-sxm4-80gb", seq=SEQ, batch=batch, precision="fp16", attention="unfused")


def predicted(run: Run, of: Model) -> float:
    """Seconds per step."""
    return float(estimate(workload(of, run.n, run.B), run.plan(of.layers)).time.total)


KORTHIKANTI = (
    Run("megatron-22b", 8, 8, 1, 1, 4, 4, 1.42),
    Run("megatron-22b", 8, 8, 1, 1, 4, 4, 1.10, full=False),
    Run("gpt3-175b", 64, 8, 8, 3, 1, 64, 18.13),
    Run("gpt3-175b", 64, 8, 8, 3, 1, 64, 13.75, full=False),
    Run("mt-nlg-530b", 280, 8, 35, 3, 1, 280, 49.05),
    Run("mt-nlg-530b", 280, 8, 35, 3, 1, 280, 37.83, full=False),
    Run("megatron-1t", 512, 8, 64, 1, 1, 512, 94.42),
    Run("megatron-1t", 512, 8, 64, 1, 1, 512, 71.49, full=False),
    Run("mt-nlg-530b", 2240, 8, 35, 3, 1, 2240, 39.15, full=False),
)
"""Korthikanti et al. 2022 (arXiv:2205.05198): tables 3 and 5; section 6.3 for the last, with 8 data-parallel ranks."""


@pytest.mark.parametrize("run", KORTHIKANTI, ids=lambda r: f"{r.model}-{r.n}-{'full' if r.full else 'selective'}")
def test_step_of_korthikanti(run: Run) -> None:
    """Seconds per iteration as printed."""
    assert predicted(run, model(run.model)) == pytest.approx(run.seconds, rel=STEP_TOLERANCE)


@pytest.mark.parametrize(
    ("layers", "hidden", "heads", "n", "tp", "pp", "v", "b", "B", "teraflops"),
    [
        (24, 2304, 24, 32, 1, 1, 1, 16, 512, 137),
        (36, 4096, 32, 128, 4, 1, 1, 16, 512, 142),
        (48, 8192, 64, 512, 8, 2, 1, 4, 1536, 138),
        (80, 12288, 96, 1536, 8, 8, 2, 2, 2304, 148),
        (105, 20480, 128, 2520, 8, 35, 3, 1, 2520, 163),
    ],
)
def test_step_of_narayanan(
    layers: int, hidden: int, heads: int, n: int, tp: int, pp: int, v: int, b: int, B: int, teraflops: float
) -> None:
    """Narayanan et al. 2021 (arXiv:2104.04473), table 1: TFLOP/s per GPU, turned to seconds by the FLOPs of equation 3.

    The paper counts full recomputation among them. Micro-batch and virtual stages (layers per stage over
    --num-layers-per-virtual-pipeline-stage) are those of Megatron-LM examples/sc21/run_table_1.sh.
    """
    shape = {"layers": layers, "hidden": hidden, "ffn": 4 * hidden, "heads": heads, "kv_heads": heads}
    of = model("megatron-22b").model_copy(update=shape | {"head_dim": hidden // heads})
    flops = 96 * B * SEQ * layers * hidden**2 * (1 + SEQ / (6 * hidden) + VOCABULARY / (16 * layers * hidden))
    seconds = flops / (n * teraflops * 1e12)
    assert predicted(Run("", n, tp, pp, v, b, B, seconds), of) == pytest.approx(seconds, rel=STEP_TOLERANCE)


@pytest.mark.parametrize(
    ("sp", "recompute", "forward_ms", "backward_ms"),
    [
        (0, "none", 7.7, 11.9),
        (1, "none", 7.2, 11.8),
        (0, "full", 7.7, 19.5),
        (0, "selective", 7.7, 13.2),
        (1, "selective", 7.2, 13.1),
    ],
)
def test_layer_of_korthikanti(sp: int, recompute: str, forward_ms: float, backward_ms: float) -> None:
    """One layer of the 22B model, b = 4, tp = 8: Korthikanti et al. 2022, table 4."""
    of = workload("megatron-22b", 8, 4)
    modules = ("core_attn",) if recompute == "selective" else ()
    piece = pieces(of, Plan(tp=8, sp=sp, b=4, modules=modules).floats())[0]
    again = {"none": 0.0, "full": piece.forward.total, "selective": piece.again.total}[recompute]
    assert 1e3 * piece.forward.total == pytest.approx(forward_ms, rel=LAYER_TOLERANCE)
    assert 1e3 * (piece.backward.total + again) == pytest.approx(backward_ms, rel=LAYER_TOLERANCE)
