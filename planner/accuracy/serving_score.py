"""Predictions of deployments held against what was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.accuracy.serving_corpus import ServeCase
from planner.serving.estimate import batch_latency, prefill
from planner.serving.memory import most_running
from planner.serving.queueing import at_batch, closed_loop, offline, open_loop


@dataclass(frozen=True, slots=True)
class ServePrediction:
    """One case with what the planner says."""

    case: ServeCase
    value: float

    @property
    def error(self) -> float:
        """(predicted - measured) / measured."""
        return self.value / self.case.value - 1.0


def predict(case: ServeCase) -> ServePrediction:
    """What was measured, as the model gives it: seconds or tokens per second."""
    return ServePrediction(case, float(_value(case)))


def _value(case: ServeCase) -> float:
    job, output = case.job, case.job.workload.output
    if case.kind == "offline":
        return float(offline(job, case.plan, case.requests).requests) * output
    assert case.load is not None
    if case.poisson:
        seen = open_loop(job, case.plan, case.load)
        return float(seen.tpot if case.kind == "tpot" else seen.ttft)
    plan = at_batch(case.plan, case.load / case.plan.dp)
    if case.kind == "isolated ttft":
        return float(prefill(job, plan, case.load))
    if case.kind in ("latency", "static"):
        seconds = static_latency(case)
        return seconds if case.kind == "latency" else case.load * output / seconds
    seen = closed_loop(job, plan)
    return float(seen.tpot if case.kind == "tpot" else seen.ttft)


def static_latency(case: ServeCase) -> float:
    """A batch from start to end; one that the cache cannot hold runs in equal waves."""
    assert case.load is not None
    room = max(float(np.floor(most_running(case.job, case.plan))), 1.0)
    waves = float(np.ceil(case.load / room))
    plan = replace(at_batch(case.plan, case.load / waves), dp=1)
    return waves * float(batch_latency(case.job, plan))
