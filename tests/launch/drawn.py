"""Plans drawn from the search's own space, for tests of what they are written as."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import numpy as np

from planner.launch.program import Setup, Target
from planner.plan import Plan
from planner.schema.model import Model
from planner.training.job import Job
from planner.training.rules import legal
from planner.training.space import Bounds, plans
from tests import jobs

EXPERTS = {"experts": 4, "top_k": 2, "ffn": 1024}


def dense(**changes: Any) -> Model:
    """Twelve layers."""
    return jobs.small_model(**({"layers": 12} | changes))


@cache
def obeying(target: Target, preset: str, cluster: str, model: Model, batch: int = 64) -> tuple[Setup, ...]:
    """Every legal plan that the target can express."""
    job = jobs.job(model, cluster, preset, seq=256, batch=batch)
    return tuple(Setup(job, plan) for plan in _plans(job, target))


def _plans(job: Job, target: Target) -> Iterator[Plan]:
    for batch in plans(job, Bounds()):
        mask, _ = legal(job, batch)
        for rule in target.rules:
            mask = mask & np.broadcast_to(rule.holds(job, batch), mask.shape)
        for row in np.flatnonzero(mask):
            yield batch[row].scalar()


def draw(
    target: Target, preset: str, cluster: str = "2x8xA100", count: int = 60, model: Model | None = None
) -> list[Setup]:
    """Some of them, always the same."""
    found = obeying(target, preset, cluster, model or dense())
    return Random(5).sample(found, min(count, len(found)))


def setup(of: str | Model, on: str, preset: str = "any", *, seq: int = 256, batch: int = 64, **plan: Any) -> Setup:
    """One plan; dp and m follow from the others. Names of `Workload` may stand among the plan's."""
    workload = {
        name: plan.pop(name)
        for name in ("precision", "optimizer", "offload", "offload_layers", "attention", "method")
        if name in plan
    }
    job = jobs.job(of, on, preset, seq=seq, batch=batch, **workload)
    degrees = {"tp": 1, "cp": 1, "pp": 1, "b": 1} | plan
    dp = job.cluster.gpus // (degrees["tp"] * degrees["cp"] * degrees["pp"])
    schedule = "interleaved" if plan.get("v", 1) > 1 else "1f1b"
    fields = {"schedule": schedule, "dp": dp, "m": batch // (dp * degrees["b"])} | degrees
    return Setup(job, Plan(**fields))


def broken(target: Target, wanted: Setup) -> list[str]:
    """Names of the target's rules that a plan breaks."""
    return [rule.name for rule in target.rules if not np.all(rule.holds(wanted.job, wanted.plan))]


def said(target: Target, wanted: Setup) -> str:
    """What the first broken rule says."""
    rule = next(rule for rule in target.rules if not np.all(rule.holds(wanted.job, wanted.plan)))
    return rule.message(wanted.job, wanted.plan)


def assert_rules_agree(target: Target, preset: str) -> None:
    """A rule says of an array of plans what it says of each, and its sentence has a number for every name."""
    job = jobs.job(dense(), "8xA100", preset, seq=256, batch=32)
    for batch in plans(job, Bounds()):
        rows = Random(3).sample(range(len(batch)), min(40, len(batch)))
        for rule in target.rules:
            mask = np.broadcast_to(rule.holds(job, batch), (len(batch),))
            for row in rows:
                plan = batch[row].scalar()
                assert bool(rule.holds(job, plan)) == mask[row], (rule.name, plan)
                assert "{" not in rule.message(job, plan)
