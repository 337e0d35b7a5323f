"""What the planner says of a source it was not fitted to: `python benchmarks/leave_out.py [--write] [PATH ...]`.

Each source in turn loses what was fitted to it alone. A preset that other sources share has its element-wise, host,
step and accumulation constants fitted anew to those; a preset of one source gives way to the nearest other
(`bands.OTHER_PRESET`) but for what is read off the framework's code (`bands.FACTS`); a link that is one cluster's own
gives way to its general form. Efficiencies of accelerators stay, for no source decides them alone, except where it is
the only one on its part: so errors come out somewhat low.

The second pair of columns adds one run of the source: `planner calibrate` with it, scored on the source's other runs,
the mean over every choice of it. Other runs on another accelerator or preset than that run's stay as they were, for a
calibration is for one machine; the last line scores those alone for which it is meant, before and after. With --write
the table goes into docs/accuracy.md.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from accuracy import PAGE, markdown, replaced
from bands import ENOUGH, REFITTED, WIDE, another_preset, main_cases, swap

from planner.accuracy.calibrate import CONSTANTS, fit_times, residuals, with_factors
from planner.accuracy.corpus import Case
from planner.accuracy.fitting import Floats, fit
from planner.accuracy.predict import predict
from planner.catalog.library import open_library
from planner.training.job import Job

OWN_LINKS = {"efa-playbook": "efa-v2"}
"""Links that describe one cluster, and what a stranger to it would have assumed."""


Spread = tuple[float, float]
"""Median and 90th percentile of |predicted/measured - 1|."""


@dataclass(frozen=True)
class Row:
    """A source held out, and after one run of it."""

    source: str
    runs: int
    held_out: Spread
    one_run: Spread


@dataclass(frozen=True)
class Result:
    """A source on all other runs, and on those like the calibrating run alone: None where no two runs are alike."""

    whole: Row
    alike: Row | None


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


def misses(cases: Sequence[Case], change: Callable[[Job], Job] = lambda job: job) -> Floats:
    """|predicted/measured - 1| of step time."""
    return np.array([abs(p.step / (p.case.step or 0.0) - 1.0) for p in predict(cases, preset=change)])


def spread(sizes: Floats) -> Spread:
    """Median and 90th percentile."""
    return float(np.median(sizes)), float(np.quantile(sizes, 0.9))


def average(found: Sequence[Spread]) -> Spread:
    """Mean of each."""
    median, p90 = np.mean(found, axis=0).tolist()
    return median, p90


def result(source: str, cases: Sequence[Case]) -> Result:
    """Errors on the other runs after a calibration with one of them, the mean over every choice."""
    before, index = misses(cases), np.arange(len(cases))
    whole: list[Spread] = []
    pairs: list[tuple[Spread, Spread]] = []
    for chosen, run in enumerate(cases):
        factors = {one.constant.name: one.factor for one in fit_times([run])}
        same, others = np.array([alike(c.job, run.job) for c in cases]), index != chosen
        after = np.where(same, misses(cases, partial(with_factors, factors=factors)), before)
        whole.append(spread(after[others]))
        if (same & others).any():
            pairs.append((spread(before[same & others]), spread(after[same & others])))
    row = Row(source, len(cases), spread(before), average(whole))
    if not pairs:
        return Result(row, None)
    held, one = (average(part) for part in zip(*pairs, strict=True))
    return Result(row, Row(source, len(pairs), held, one))


def alike(job: Job, other: Job) -> bool:
    """Whether a calibration on one is meant for the other."""
    accelerators = job.cluster.accelerator.name, other.cluster.accelerator.name
    return accelerators[0] == accelerators[1] and job.framework.name == other.framework.name


def results(cases: Sequence[Case], network: Callable[[Job], Job] = strange_link) -> list[Result]:
    """One for each source of at least two runs."""
    return [result(name, own) for name, own in sorted(held_out(cases, network).items()) if len(own) > 1]


def with_network(cases: Sequence[Case]) -> list[Result]:
    """Sources on a network of their own, its profile left to them."""
    names = {c.source for c in cases if c.job.cluster.network and c.job.cluster.network.name in OWN_LINKS}
    own = [c for c in cases if c.source in names]
    found = results(own, lambda job: job)
    return [replace(one, whole=replace(one.whole, source=f"{one.whole.source}, network known")) for one in found]


def table(cases: Sequence[Case]) -> str:
    """Markdown, with the means over sources."""
    strangers, known = results(cases), with_network(cases)
    names = {one.whole.source.partition(",")[0] for one in known}
    rest = [one for one in strangers if one.whole.source not in names]
    lines = [cells(one.whole) for one in (*strangers, *known)]
    lines += [mean("**mean**", [one.whole for one in strangers])]
    lines += [mean("**mean, networks known**", [one.whole for one in (*rest, *known)])]
    same = [one.alike for one in (*rest, *known) if one.alike is not None]
    lines += [mean("**the same, on that run's accelerator and preset alone**", same)]
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
