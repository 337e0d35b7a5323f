"""Which constant explains a measured time."""

from __future__ import annotations

import pytest

from planner.accuracy.calibrate import with_factors
from planner.accuracy.diagnose import root, suspects
from planner.plan import Plan
from planner.training.estimate import step_time
from tests.jobs import job

JOB = job("llama3.1-70b", "4x8xH100", seq=8192, batch=256)
PLAN = Plan(tp=8, pp=2, v=2, dp=2, b=1, m=128, sp=1, zero=1, schedule="interleaved")


@pytest.mark.parametrize(("name", "factor"), [("compute", 0.7), ("scaleup", 0.5), ("attention", 0.6)])
def test_the_constant_that_was_changed_is_found(name: str, factor: float) -> None:
    """With the very factor, whatever else could explain it."""
    slow = float(step_time(with_factors(JOB, {name: factor}), PLAN.floats()).total)
    found = {s.name: s.factor for s in suspects(JOB, PLAN, slow)}
    assert found[name] == pytest.approx(factor, rel=1e-3)


def test_likeliest_first() -> None:
    """By how far each constant usually lies off."""
    spreads = [s.spreads for s in suspects(JOB, PLAN, 1.1 * float(step_time(JOB, PLAN.floats()).total))]
    assert spreads == sorted(spreads) and len(spreads) > 2


def test_what_explains_nothing_is_left_out() -> None:
    """No zero, no root."""
    assert root(lambda x: 1.0 + 0.01 * x) is None
    assert root(lambda x: x - 0.5) == pytest.approx(0.5)
