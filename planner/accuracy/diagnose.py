"""Why a run is slower or faster than predicted: which one constant, moved how far, would explain it."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

from planner.accuracy.constants import CONSTANTS, with_factors
from planner.frozen import frozen
from planner.plan import OnePlan
from planner.training.estimate import step_time
from planner.training.job import Job

FARTHEST = 3.0
"""Largest change that is tried, in logarithms: a factor of 20."""

HALVINGS = 50


@frozen
class Suspect:
    """One constant that would explain a measured time by itself.

    Attributes:
        factor: on the packaged value; spreads: log(factor) over how far this constant usually lies off.
    """

    name: str
    words: str
    factor: float
    spreads: float


def suspects(job: Job, plan: OnePlan, measured: float) -> list[Suspect]:
    """Every constant that alone turns the predicted step into the measured one, the likeliest first.

    Solves log(T(factor) / measured) = 0 for each of `planner.accuracy.constants.CONSTANTS`. Their spreads come from the
    measured corpus; a constant that cannot explain the time within a factor of 20 is left out.
    """
    found = []
    for constant in CONSTANTS:

        def gap(x: float, name: str = constant.name) -> float:
            return log(float(step_time(with_factors(job, {name: exp(x)}), plan.floats()).total) / measured)

        x = root(gap)
        if x is not None:
            found.append(Suspect(constant.name, constant.words, exp(x), abs(x) / constant.width))
    return sorted(found, key=lambda suspect: suspect.spreads)


def root(gap: Callable[[float], float]) -> float | None:
    """Where a monotonous function is zero between -FARTHEST and FARTHEST, by halving; None where it is not."""
    low, high = -FARTHEST, FARTHEST
    sign = gap(low)
    if sign * gap(high) > 0.0:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if gap(middle) * sign > 0.0 else (low, middle)
    return (low + high) / 2.0
