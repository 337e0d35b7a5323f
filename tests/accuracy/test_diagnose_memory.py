"""Explanations of a peak: each is found where it is what happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner.accuracy.diagnose import causes
from planner.plan import Plan
from planner.training.job import Job
from planner.training.moments import peak_memory
from tests.jobs import job

OF = job("llama3.1-8b", "8xA100", "torchtitan", seq=8192, batch=16)
PLAN = Plan(dp=8, m=2, zero=3, recompute_layers=32)


def weighed(of: Job, plan: Plan) -> float:
    """The predicted peak."""
    return float(peak_memory(of, plan.floats()).memory.total)


def with_workload(**changed: Any) -> Job:
    """The job with another workload."""
    return replace(OF, workload=OF.workload.model_copy(update=changed))


@pytest.mark.parametrize(
    ("name", "of", "plan"),
    [
        ("recompute", OF, replace(PLAN, recompute_layers=0)),
        ("zero", OF, replace(PLAN, zero=0)),
        ("micro_batch", OF, replace(PLAN, b=2)),
        ("attention", with_workload(attention="eager"), replace(PLAN, recompute_layers=0)),
        ("loss-linear", with_workload(loss="linear"), PLAN),
    ],
)
def test_what_happened_explains_it(name: str, of: Job, plan: Plan) -> None:
    """It is among the nearest, with its own peak; scores that attention stores show where nothing is recomputed."""
    seen = weighed(of, plan)
    found = causes(OF, plan if name == "attention" else PLAN, seen)
    first = next(one for one in found if one.name == name)
    assert first.need == pytest.approx(seen) and first in found[:3]


def test_a_longer_sample() -> None:
    """Half as long again: the tokens are found, to a per cent."""
    seen = weighed(with_workload(seq=12288), PLAN)
    words = next(one.words for one in causes(OF, PLAN, seen) if one.name == "longest_sample")
    tokens = int(words.split(" tokens")[0].split()[-1].replace(",", ""))
    assert tokens == pytest.approx(12288, rel=0.01)


def test_a_run_that_ran_out() -> None:
    """Only what takes more than there is; the load of the whole model on every rank where it is sharded."""
    limit = 78 * 2.0**30
    found = causes(job("llama3.1-70b", "8x8xA100", "torchtitan", seq=4096, batch=64), Plan(dp=64, zero=3), limit, True)
    assert found and all(one.need > limit for one in found)
    assert {"load", "load32"} <= {one.name for one in found}


def test_nothing_to_explain() -> None:
    """The predicted peak itself needs no cause."""
    assert causes(OF, PLAN, weighed(OF, PLAN)) == []
