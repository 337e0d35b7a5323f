"""Predictions of deployments held against what was measured: sizes, order of layouts, and choices under a bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from planner.accuracy.measures import split
from planner.accuracy.serving_corpus import ServeCase
from planner.frozen import frozen
from planner.serving.estimate import batch_latency, prefill
from planner.serving.job import at_batch, replica_gpus
from planner.serving.memory import most_running
from planner.serving.queueing import closed_loop, offline, open_loop

APART = frozenset({"unverified", "moe", "unclear layout", "trap", "does not fit", "saturated", "pcie-tp", "unfitted"})
"""Labels of cases that do not count in the main scores."""

BOUNDS = tuple(1e-3 * ms for ms in (12, 16, 20, 25, 30, 40, 50, 60))
"""Bounds on the time per token under which choices are scored, in seconds."""


@frozen
class ServePrediction:
    """One case with what the planner says."""

    case: ServeCase
    value: float

    @property
    def error(self) -> float:
        """(predicted - measured) / measured."""
        return self.value / self.case.value - 1.0


@frozen
class Size:
    """Relative errors of n predictions: mean of |e|, median of |e|, mean of e."""

    n: int
    mean: float
    median: float
    bias: float


@frozen
class Order:
    """Pairs of layouts of one workload, and those that the prediction orders as measured."""

    pairs: int
    right: int

    @property
    def share(self) -> float:
        """Of all pairs; 1 of none."""
        return self.right / self.pairs if self.pairs else 1.0


@frozen
class Picks:
    """Choices of the layout and load with the most tokens per second and GPU under a bound on the time per token.

    Attributes:
        violated: measured above the bound; regret: mean loss of measured tokens per second and GPU of the others.
    """

    n: int
    violated: int
    regret: float

    @property
    def violating(self) -> float:
        """Share of choices that break their bound."""
        return self.violated / self.n if self.n else 0.0


@frozen
class ServeScore:
    """All scores of a set of cases."""

    sizes: dict[str, Size]
    order: Order
    picks: Picks


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
    seen = closed_loop(job, plan, case.in_step)
    return float(seen.tpot if case.kind == "tpot" else seen.ttft)


def static_latency(case: ServeCase) -> float:
    """A batch from start to end; one that the cache cannot hold runs in equal waves."""
    assert case.load is not None
    room = max(float(np.floor(most_running(case.job, case.plan))), 1.0)
    waves = float(np.ceil(case.load / room))
    plan = replace(at_batch(case.plan, case.load / waves), dp=1)
    return waves * float(batch_latency(case.job, plan))


def main(predictions: Iterable[ServePrediction]) -> list[ServePrediction]:
    """Those that count: dense models, verified rows, measured links."""
    return [p for p in predictions if not p.case.labels & APART]


def score(predictions: Sequence[ServePrediction]) -> ServeScore:
    """All scores; which predictions belong together is the caller's choice."""
    by_kind = split(predictions, scored_as)
    sizes = {name: size([p.error for p in chosen]) for name, chosen in sorted(by_kind.items())}
    return ServeScore(sizes, order(predictions), picks(predictions))


def scored_as(prediction: ServePrediction) -> str:
    """The score that a case counts in: pipelines over PCIe are a sweep of their own."""
    case = prediction.case
    if "pcie" in case.labels and case.kind == "offline" and "PP sweep" in case.notes:
        return "pcie pipeline"
    return case.kind


def size(errors: Sequence[float]) -> Size:
    """Mean and median of |e|, and the mean with its sign."""
    e = np.asarray(errors, dtype=np.float64)
    return Size(e.size, float(np.abs(e).mean()), float(np.median(np.abs(e))), float(e.mean()))


def order(predictions: Sequence[ServePrediction]) -> Order:
    """All pairs of different layouts of one workload, metric and load that were not measured equal.

    Without the time to first token under load, which tells how a benchmark starts its users.
    """
    pairs = right = 0
    ranked = [p for p in predictions if p.case.kind != "ttft"]
    for group in split(ranked, lambda p: (p.case.group, p.case.kind, p.case.load)).values():
        for i, a in enumerate(group):
            for b in group[:i]:
                if _layout(a) != _layout(b) and a.case.value != b.case.value:
                    pairs += 1
                    right += (a.value > b.value) == (a.case.value > b.case.value)
    return Order(pairs, right)


def _layout(prediction: ServePrediction) -> tuple[int, ...]:
    plan = prediction.case.plan
    return (plan.tp, plan.pp, plan.ep, plan.dp)


def picks(predictions: Sequence[ServePrediction]) -> Picks:
    """The best predicted choice under each bound, among the measured layouts and loads of one workload."""
    chosen = [p for p in predictions if p.case.kind in ("tpot", "latency") and not p.case.poisson]
    n = violated = 0
    regrets: list[float] = []
    for group in split(chosen, _offer).values():
        if len({_layout(p) for p in group}) < 2:
            continue
        for bound in BOUNDS:
            good = [p for p in group if _per_token(p, p.case.value) <= bound]
            admitted = [p for p in group if _per_token(p, p.value) <= bound]
            if not good or not admitted:
                continue
            pick = max(admitted, key=lambda p: _yield(p, p.value))
            n += 1
            if pick not in good:
                violated += 1
                continue
            regrets.append(1.0 - _yield(pick, pick.case.value) / max(_yield(p, p.case.value) for p in good))
    return Picks(n, violated, float(np.mean(regrets)) if regrets else 0.0)


def _offer(prediction: ServePrediction) -> tuple[str, ...]:
    """What is the same for every choice: source, model, device, engine, requests and what was measured."""
    case, w = prediction.case, prediction.case.job.workload
    shape = (str(w.input), str(w.output), w.weights, case.kind)
    return (case.source, case.job.model.name, case.job.cluster.accelerator.name, case.job.engine.name, *shape)


def _per_token(prediction: ServePrediction, value: float) -> float:
    case = prediction.case
    return float(value / case.job.workload.output) if case.kind == "latency" else value


def _yield(prediction: ServePrediction, value: float) -> float:
    """Output tokens per second and GPU: users / time per token / GPUs."""
    case = prediction.case
    gpus = float(replica_gpus(case.plan)) * case.plan.dp
    return float((case.load or 0.0) / _per_token(prediction, value) / gpus)
