"""Muon's orthogonalisation against its FLOPs, and in a step."""

from __future__ import annotations

import pytest

from planner.blocks.operator import Product
from planner.cost.operators import orthogonal_time
from planner.plan import Plan
from planner.training.estimate import estimate
from tests import jobs


def test_flops_of_a_square_matrix() -> None:
    """5 iterations of three products of 2 * 8192^3 FLOPs, at 60 to 100 % of an A100's 312 TFLOP/s."""
    ideal = 5 * 3 * 2 * 8192**3 / 312e12
    took = orthogonal_time(jobs.cluster("8xA100").accelerator, Product(1.0, 8192.0, 8192.0))
    assert ideal < took < ideal / 0.6


def test_a_transposed_matrix_takes_as_long() -> None:
    """The shorter side is the one that is squared."""
    part = jobs.cluster("8xA100").accelerator
    tall, flat = (orthogonal_time(part, Product(1.0, *sides)) for sides in ((4096.0, 11008.0), (11008.0, 4096.0)))
    assert tall == flat


def test_a_step_with_muon() -> None:
    """Sides of 4096 by 6144, 4096, 28672 and 14336: 32 * 20.6 TFLOP over 8 ranks; without sharding each does all."""
    of = [jobs.job("llama3-8b", "8xA100", seq=4096, batch=64, optimizer=name) for name in ("adam", "muon")]
    whole = Plan(dp=8, b=1, m=8, zero=0, schedule="1f1b")
    shared = Plan(dp=8, b=1, m=8, zero=1, schedule="1f1b")
    adam, muon, alone = (
        estimate(job, plan.floats()).time.parts["optimizer"]
        for job, plan in zip((*of, of[1]), (shared, shared, whole), strict=True)
    )
    ideal = 32 * 20.6e12 / 8 / 312e12
    assert ideal < muon - adam < ideal / 0.6
    assert alone - muon == pytest.approx(7 * (muon - adam), rel=0.15)
