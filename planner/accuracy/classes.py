"""Scores by class of run, whatever its source: what is trained, in which format, over which axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

from planner.accuracy.measures import Confusion, Errors, errors, mean_errors, split
from planner.accuracy.predict import Prediction
from planner.accuracy.score import step_errors, verdicts
from planner.bands import band, memory_band
from planner.frozen import frozen

UNTOLD = ("doubtful", "deterministic", "unknown-recompute")
"""Labels of runs that say nothing of how far a prediction is off; of unknown recomputation the nearest is taken."""

Member = Callable[[Prediction], bool]


def _dense(one: Prediction) -> bool:
    return one.case.job.model.moe is None and not one.case.job.lora


CLASSES: tuple[tuple[str, Member], ...] = (
    ("dense, 16 bit", lambda p: _dense(p) and p.case.job.recipe.wide),
    ("dense, below 16 bit", lambda p: _dense(p) and not p.case.job.recipe.wide),
    ("experts, graphs known", lambda p: "known-graphs" in p.case.labels),
    ("experts", lambda p: p.case.job.model.moe is not None),
    ("context parallel", lambda p: p.plan.cp > 1),
    ("adapters", lambda p: p.case.job.lora),
    ("all", lambda p: True),
)
"""Names of classes and what belongs to them; a run may belong to several."""


@frozen
class Inside:
    """How many of n measured values lie in the band that is printed for them."""

    n: int
    inside: int

    @property
    def share(self) -> float | None:
        """inside / n; None of nothing."""
        return self.inside / self.n if self.n else None


@frozen
class ClassScore:
    """Scores of one class.

    Attributes:
        step, memory: every run with equal weight. by_source: of steps, sources with equal weight.
        step_band, memory_band: of those that have a band. fit: each layout once.
    """

    name: str
    step: Errors | None
    by_source: Errors | None
    step_band: Inside
    memory: Errors | None
    memory_band: Inside
    fit: Confusion


def classes(predictions: Sequence[Prediction]) -> tuple[ClassScore, ...]:
    """The classes that have members among runs that tell something."""
    told = [p for p in predictions if p.case.labels.isdisjoint(UNTOLD)]
    members = ((name, [p for p in told if belongs(p)]) for name, belongs in CLASSES)
    return tuple(_class(name, ones) for name, ones in members if ones)


def _class(name: str, ones: Sequence[Prediction]) -> ClassScore:
    timed = [p for p in ones if p.case.step is not None]
    weighed = [p for p in ones if p.case.peak is not None]
    sources = [step_errors(same) for same in split(timed, lambda p: p.case.source).values()]
    steps = [_miss(p.step, p.case.step, band(p.case.job, p.plan).width) for p in timed]
    peaks = [_miss(p.peak, p.case.peak, memory_band(p.case.job).width) for p in weighed]
    return ClassScore(
        name,
        step_errors(timed),
        mean_errors([found for found in sources if found]),
        _inside(steps),
        errors([p.peak for p in weighed], [p.case.peak or 0.0 for p in weighed]) if weighed else None,
        _inside(peaks),
        verdicts(ones),
    )


def _miss(predicted: float, measured: float | None, width: float | None) -> bool | None:
    """Whether a value lies outside of its band; None where there is none."""
    return None if width is None else abs(log(predicted / (measured or predicted))) > width


def _inside(missed: Sequence[bool | None]) -> Inside:
    banded = [miss for miss in missed if miss is not None]
    return Inside(len(banded), banded.count(False))
