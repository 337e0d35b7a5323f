"""The few constants that a user's own measurements determine: 1 to 50 runs on one machine with one framework.

Each constant is the packaged value times exp(x), x normal around 0 with a width that says how far packaged values are
usually off. One run already moves the compute scale most of the way, for its prior is widest against what one run
tells. A constant that the runs leave as uncertain as it was stays at its packaged value, so that nothing is fitted
which the data do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from planner.accuracy.constants import CONSTANTS, Constant, with_factors
from planner.accuracy.corpus import Case
from planner.accuracy.fitting import fit
from planner.accuracy.measures import split
from planner.accuracy.predict import predict, stack
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.plan import Floats, Plan
from planner.training.estimate import step_time
from planner.training.job import Job
from planner.units import GIB

NOISE = 0.05
"""Relative noise of a run: repeats of published runs differ by 1 to 9 %, and fitted layouts are mispredicted by 4 %."""

MANY, LEAST_NOISE = 8, 0.01
"""Layouts from which the noise is read off the runs themselves, and the least that is believed."""

TELLS = 0.95
"""Posterior over prior width below which the runs determine a constant."""

RESERVE_WIDTH = 4.0
"""Prior width of the reserve's shift, GiB."""


@frozen
class Fitted:
    """What became of one constant.

    Attributes:
        factor: on the packaged value, 1 when not determined. deviation: of log(factor) after the fit.
        share: posterior over prior width; determined: the runs tell enough of it.
    """

    constant: Constant
    factor: float
    deviation: float
    share: float
    determined: bool


@frozen
class Run:
    """One measurement against the packaged and the fitted constants; seconds, or bytes of peak memory."""

    id: str
    kind: str
    measured: float
    before: float
    after: float

    @property
    def errors(self) -> tuple[float, float]:
        """predicted/measured - 1, before and after."""
        return self.before / self.measured - 1.0, self.after / self.measured - 1.0


@frozen
class Calibration:
    """The answer.

    Attributes:
        job: one of the runs' jobs, the one on most nodes, with the fitted constants in its profiles.
        reserve: bytes added to the preset's reserve, None when no peak was given.
    """

    job: Job
    fitted: tuple[Fitted, ...]
    runs: tuple[Run, ...]
    reserve: float | None

    def errors(self, kind: str) -> tuple[float, float] | None:
        """Median absolute relative error of "step" or "memory", before and after; None without such runs."""
        found = np.abs([run.errors for run in self.runs if run.kind == kind])
        return (float(np.median(found[:, 0])), float(np.median(found[:, 1]))) if found.size else None


def calibrate(cases: Sequence[Case]) -> Calibration:
    """Fit the constants that the runs determine.

    Runs of one layout count once, with their median: repeating a run says nothing about another layout.

    Raises:
        PlannerError: no run with a time or a peak, or runs of several machines or presets.
    """
    check_one_machine(cases)
    timed, weighed = [c for c in cases if c.step is not None], [c for c in cases if c.peak is not None]
    fitted = fit_times(medians(timed)) if timed else tuple(Fitted(c, 1.0, c.width, 1.0, False) for c in CONSTANTS)
    factors = {one.constant.name: one.factor for one in fitted}
    shift = fit_reserve(weighed) if weighed else None

    def changed(job: Job) -> Job:
        job = with_factors(job, factors)
        reserve = max(job.framework.reserve + (shift or 0.0), 0.0)
        return replace(job, framework=job.framework.model_copy(update={"reserve": reserve}))

    reference = max((case.job for case in cases), key=lambda job: job.cluster.nodes)
    return Calibration(changed(reference), fitted, _runs(timed, weighed, changed, shift or 0.0), shift)


def check_one_machine(cases: Sequence[Case]) -> None:
    """Refuse runs whose constants differ.

    Raises:
        PlannerError: nothing to fit, or what differs.
    """
    if not any(case.step is not None or case.peak is not None for case in cases):
        raise PlannerError("no run with a step time or a peak of memory", "planner calibrate --help")
    facts: tuple[tuple[str, set[str]], ...] = (
        ("accelerators", {c.job.cluster.accelerator.name for c in cases}),
        ("nodes", {f"{c.job.cluster.node.count} per node" for c in cases}),
        ("links", {_link_name(c.job, "scaleup") for c in cases}),
        ("networks", {_link_name(c.job, "network") for c in cases if c.job.cluster.nodes > 1}),
        ("frameworks", {c.job.framework.name for c in cases}),
    )
    for what, found in facts:
        if len(found) > 1:
            named = ", ".join(sorted(found)[:4])
            raise PlannerError(f"the runs are of several {what}: {named}", "calibrate each by itself: one file each")


def _link_name(job: Job, name: str) -> str:
    link = getattr(job.cluster, name)
    return "none" if link is None else f"{link.name} at {link.rate / 1e9:.4g} GB/s"


def medians(cases: Iterable[Case]) -> list[Case]:
    """One case per layout, with the median of its times."""
    groups = split(cases, lambda case: case.layout).values()
    return [replace(same[0], step=float(np.median([c.step or 0.0 for c in same]))) for same in groups]


def fit_times(cases: Sequence[Case]) -> tuple[Fitted, ...]:
    """Fit all constants, then once more those that the runs tell something of; the rest stays as packaged."""
    widths = np.array([c.width for c in CONSTANTS])
    noise, everything = NOISE, fit(residuals(cases, CONSTANTS), widths)
    if len(cases) >= MANY:
        noise = scatter(residuals(cases, CONSTANTS, 1.0)(everything.x))
        everything = fit(residuals(cases, CONSTANTS, noise), widths)
    share = everything.deviation / widths
    chosen = [i for i in range(len(CONSTANTS)) if share[i] < TELLS] or [int(np.argmin(share))]
    found = fit(residuals(cases, [CONSTANTS[i] for i in chosen], noise), widths[chosen])
    x, deviation = np.zeros_like(widths), everything.deviation
    x[chosen], deviation[chosen] = found.x, found.deviation
    return tuple(
        Fitted(constant, float(np.exp(x[i])), float(deviation[i]), float(deviation[i] / widths[i]), i in chosen)
        for i, constant in enumerate(CONSTANTS)
    )


def scatter(r: Floats) -> float:
    """Noise of runs that agree better than NOISE: 1.48 * median(abs(r)), the deviation that a normal one would have."""
    return float(np.clip(1.48 * np.median(np.abs(r)), LEAST_NOISE, NOISE))


def residuals(cases: Sequence[Case], constants: Sequence[Constant], noise: float = NOISE) -> Callable[[Floats], Floats]:
    """r(x) = log(predicted/measured) / noise of every case, the constants multiplied by exp(x)."""
    batches = _batches(cases)
    measured = np.log(np.concatenate([times for _, _, times in batches]))

    def r(x: Floats) -> Floats:
        factors = {constant.name: float(np.exp(value)) for constant, value in zip(constants, x, strict=True)}
        totals = ((step_time(with_factors(job, factors), plans).total, len(plans)) for job, plans, _ in batches)
        times = [np.broadcast_to(total, count) for total, count in totals]
        return np.asarray((np.log(np.concatenate(times)) - measured) / noise, dtype=np.float64)

    return r


def _batches(cases: Sequence[Case]) -> list[tuple[Job, Plan, Floats]]:
    """Cases that can be evaluated together: one job and policy."""
    groups = split(cases, lambda case: (id(case.job), case.plan.policy, case.plan.layout)).values()
    return [
        (same[0].job, stack([c.plan for c in same]), np.array([c.step for c in same], dtype=np.float64))
        for same in groups
    ]


def fit_reserve(cases: Sequence[Case]) -> float:
    """Bytes by which the reserve moves: r = (predicted + shift - measured) / (noise * measured), robust, with a prior.

    Peaks that PyTorch counts as allocated move it as well: what the analytic sum misses has no other place.
    """
    predicted = np.array([p.peak for p in predict(cases)]) / GIB
    measured = np.array([case.peak for case in cases], dtype=np.float64) / GIB
    found = fit(lambda x: (predicted + x[0] - measured) / (NOISE * measured), np.array([RESERVE_WIDTH]))
    least = -min(case.job.framework.reserve for case in cases)
    return max(float(found.x[0]) * GIB, least)


def _runs(
    timed: Sequence[Case], weighed: Sequence[Case], changed: Callable[[Job], Job], shift: float
) -> tuple[Run, ...]:
    before, after = predict(timed), predict(timed, preset=changed)
    steps = [Run(c.id, "step", c.step or 0.0, a.step, b.step) for c, a, b in zip(timed, before, after, strict=True)]
    found = zip(weighed, predict(weighed), strict=True)
    return (*steps, *(Run(c.id, "memory", c.peak or 0.0, p.peak, p.peak + shift) for c, p in found))
