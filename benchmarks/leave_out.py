"""What the planner says of a source it was not fitted to: `python benchmarks/leave_out.py [--write] [PATH ...]`.

Each source in turn loses what was fitted to it alone. A preset that other sources share has its element-wise, host,
step and accumulation constants fitted anew to those; a preset of one source gives way to the nearest other
(`bands.OTHER_PRESET`); a link that is one cluster's own gives way to its general form. Efficiencies of accelerators
stay, for no source decides them alone, except where it is the only one on its part: so errors come out somewhat low.

The second pair of columns adds one run of the source: `planner calibrate` with it, scored on the source's other runs,
the mean over every choice of it. With --write the table goes into docs/accuracy.md.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from accuracy import PAGE, markdown, replaced
from bands import ENOUGH, REFITTED, WIDE, another_preset, main_cases, swap

from planner.accuracy.calibrate import CONSTANTS, fit_times, residuals, with_factors
from planner.accuracy.corpus import Case
from planner.accuracy.fitting import fit
from planner.accuracy.predict import predict
from planner.catalog.library import open_library
from planner.training.job import Job

OWN_LINKS = {"efa-playbook": "efa-v2"}
"""Links that describe one cluster, and what a stranger to it would have assumed."""


@dataclass(frozen=True)
class Row:
    """Median and 90th percentile of |predicted/measured - 1| of a source, held out and after one run of it."""

    source: str
    runs: int
    held_out: tuple[float, float]
    one_run: tuple[float, float]


def held_out(cases: Sequence[Case], network: Callable[[Job], Job]) -> dict[str, list[Case]]:
    """By source, its cases with jobs that know nothing of it but what `network` leaves."""
    by_preset: dict[str, dict[str, list[Case]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        by_preset[case.job.framework.name][case.source].append(case)
    found: dict[str, list[Case]] = defaultdict(list)
    for sources in by_preset.values():
        for name, own in sources.items():
            rest = [c for other, members in sources.items() if other != name for c in members]
            factors = _refit(rest) if len(rest) >= ENOUGH else {}
            found[name] += swap(own, lambda job, f=factors: with_factors(network(another_preset(job)), f))
    return found


def _refit(rest: Sequence[Case]) -> dict[str, float]:
    """The preset's constants out of the other sources that share it, as factors on the stand-in's."""
    constants = [c for c in CONSTANTS if c.name in REFITTED]
    x = fit(residuals(swap(rest, another_preset), constants), np.full(len(constants), WIDE)).x
    return {c.name: float(np.exp(value)) for c, value in zip(constants, x, strict=True)}


def strange_link(job: Job) -> Job:
    """The job without what is known of one cluster's network."""
    link = job.cluster.network
    if link is None or link.name not in OWN_LINKS:
        return job
    general = open_library().lookup("link", OWN_LINKS[link.name])
    assert general is not None
    return replace(job, cluster=job.cluster.model_copy(update={"network": general.value}))


def errors(cases: Sequence[Case], change: Callable[[Job], Job] = lambda job: job) -> tuple[float, float]:
    """Median and 90th percentile of the error of step time."""
    size = [abs(p.step / (p.case.step or 0.0) - 1.0) for p in predict(cases, preset=change)]
    return float(np.median(size)), float(np.quantile(size, 0.9))


def after_one_run(cases: Sequence[Case]) -> tuple[float, float]:
    """Errors on the other runs after a calibration with one of them; it tells of its own part and preset only."""
    found = []
    for chosen, run in enumerate(cases):
        factors = {one.constant.name: one.factor for one in fit_times([run])}

        def calibrated(job: Job, like: Job = run.job, factors: dict[str, float] = factors) -> Job:
            return with_factors(job, factors) if alike(job, like) else job

        found.append(errors([c for i, c in enumerate(cases) if i != chosen], calibrated))
    median, p90 = np.mean(found, axis=0).tolist()
    return median, p90


def alike(job: Job, other: Job) -> bool:
    """Whether a calibration on one is meant for the other."""
    accelerators = job.cluster.accelerator.name, other.cluster.accelerator.name
    return accelerators[0] == accelerators[1] and job.framework.name == other.framework.name


def rows(cases: Sequence[Case], network: Callable[[Job], Job] = strange_link) -> list[Row]:
    """One row per source of at least two runs."""
    sources = sorted(held_out(cases, network).items())
    return [Row(n, len(own), errors(own), after_one_run(own)) for n, own in sources if len(own) > 1]


def with_network(cases: Sequence[Case]) -> list[Row]:
    """Sources on a network of their own, its profile left to them."""
    names = {c.source for c in cases if c.job.cluster.network and c.job.cluster.network.name in OWN_LINKS}
    own = [c for c in cases if c.source in names]
    return [replace(row, source=f"{row.source}, network known") for row in rows(own, lambda job: job)]


def table(cases: Sequence[Case]) -> str:
    """Markdown, with the means over sources."""
    strangers, known = rows(cases), with_network(cases)
    names = {row.source.partition(",")[0] for row in known}
    rest = [row for row in strangers if row.source not in names]
    lines = [cells(row) for row in (*strangers, *known)]
    lines += [mean("**mean**", strangers), mean("**mean, networks known**", [*rest, *known])]
    return markdown(["source", "runs", "held out: median", "p90", "with one run: median", "p90"], lines)


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table."""
    return row.source, str(row.runs), *(f"{e:.1%}" for e in (*row.held_out, *row.one_run))


def mean(name: str, found: Sequence[Row]) -> tuple[str, ...]:
    """The line of sources with equal weight."""
    held, one = (np.mean([getattr(row, part) for row in found], axis=0).tolist() for part in ("held_out", "one_run"))
    return cells(Row(name, sum(row.runs for row in found), tuple(held), tuple(one)))


if __name__ == "__main__":
    text = table(main_cases([Path(a) for a in sys.argv[1:] if a != "--write"]))
    if "--write" in sys.argv:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), "held out", text), encoding="utf-8")
    sys.stdout.write(text)
