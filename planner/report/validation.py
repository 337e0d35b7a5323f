"""Scores against measured runs as JSON and as tables."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from planner.accuracy.classes import ClassScore, Inside
from planner.accuracy.corpus import Case
from planner.accuracy.measures import Confusion, Errors
from planner.accuracy.predict import Prediction
from planner.accuracy.rows import Skipped
from planner.accuracy.score import MemoryErrors, Ranking, Score, Source
from planner.frozen import frozen, picked
from planner.report.grid import BOLD, Column, columns, paint
from planner.report.grid import tables as grids
from planner.units import GIB

if TYPE_CHECKING:
    from planner.documents import scores as form

MOST_REASONS = 12
"""Reasons for skipped rows that a table shows."""


@frozen
class Scores:
    """What was scored: the main score, the kinds apart by label, and all runs by class."""

    whole: Score
    apart: dict[str, Score]
    classes: tuple[ClassScore, ...]


def document(scores: Scores, cases: Sequence[Case], skipped: Sequence[Skipped]) -> form.Validation:
    """The scores, machine-readable; times in seconds, memory in GiB, errors as shares of the measured value."""
    return {
        "schema": "planner.validation/1",
        "summary": summary(scores.whole),
        "sources": [source(one) for one in scores.whole.sources],
        "groups": [cast("form.Group", asdict(group)) for group in scores.whole.groups],
        "apart": {
            label: {"summary": summary(score), "sources": [source(one) for one in score.sources]}
            for label, score in scores.apart.items()
        },
        "classes": [of_class(one) for one in scores.classes],
        "rows": rows(cases, skipped),
    }


def summary(score: Score) -> form.Summary:
    """Equal weight for sources (step time, memory), sweep groups (ranking) and verdicts (fit)."""
    return {
        "step_time": _errors(score.step),
        "ranking": _ranking(score.ranking),
        "ranking_by_source": _ranking(score.family_ranking),
        "memory": _errors(score.memory),
        "fit": _fit(score.fit),
    }


def source(one: Source) -> form.Source:
    """The same measures for one source."""
    return {
        "source": one.name,
        "step_time": _errors(one.step),
        "ranking": _ranking(one.ranking),
        "memory": {**_errors(one.memory.relative), "median_gib": one.memory.gib} if one.memory else _errors(None),
        "fit": _fit(one.fit),
    }


def of_class(one: ClassScore) -> form.Class:
    """The measures of one class; of verdicts also the share right of runs that ran."""
    ran = one.fit.fits_fits + one.fit.fits_oom
    return {
        "class": one.name,
        "step_time": _errors(one.step),
        "step_time_by_source": _errors(one.by_source),
        "step_time_in_band": _held(one.step_band),
        "memory": _errors(one.memory),
        "memory_in_band": _held(one.memory_band),
        "fit": {**_fit(one.fit), "ran": ran, "ran_share": one.fit.fits_fits / ran if ran else None},
    }


def _held(found: Inside) -> form.Inside:
    return cast("form.Inside", picked(found, "n inside share"))


def rows(cases: Sequence[Case], skipped: Sequence[Skipped]) -> form.Rows:
    """How many rows were used, how many of them in the main score, and why others were not."""
    reasons = Counter(skip.reason for skip in skipped)
    return {
        "read": len(cases) + len(skipped),
        "used": len(cases),
        "main": sum(case.main for case in cases),
        "skipped": len(skipped),
        "reasons": dict(reasons.most_common()),
        "labels": dict(Counter(label for case in cases for label in sorted(case.labels)).most_common()),
    }


def _errors(found: Errors | None) -> form.Errors:
    return cast("form.Errors", asdict(found)) if found else {"n": 0, "median": None, "p90": None, "bias": None}


def _ranking(found: Ranking | None) -> form.Ranking:
    if found is None:
        return {"groups": 0, "mean_regret": None, "median_regret": None, "spearman": None, "correlated": 0}
    return cast("form.Ranking", asdict(found))


def _fit(found: Confusion) -> form.Fit:
    return cast("form.Fit", picked(found, "recall precision balanced_accuracy") | asdict(found))


PLAN_COLUMNS = (
    *("tp", "cp", "ep", "etp", "pp", "v", "dp", "b", "m", "sp", "zero", "recompute_layers", "schedule"),
    *("modules", "dispatcher", "overlap"),
)


def row_table(predictions: Sequence[Prediction]) -> str:
    """Every prediction as CSV: the plan, measured and predicted values, the parts of the step in seconds."""
    parts = list(predictions[0].parts) if predictions else []
    head = ["id", "source", "group", "preset", "accelerator", "gpus", *PLAN_COLUMNS]
    head += ["measured_s", "predicted_s", "error", "measured_gib", "predicted_gib", "fit", "fits", "labels", *parts]
    return csv_text(head, map(_row, predictions))


def csv_text(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()


def _row(p: Prediction) -> list[Any]:
    case, job = p.case, p.case.job
    cells: list[Any] = [case.id, case.source, case.group, job.framework.name, job.cluster.accelerator.name]
    columns = (getattr(p.plan, name) for name in PLAN_COLUMNS)
    cells += [job.cluster.gpus, *("+".join(one) if isinstance(one, tuple) else one for one in columns)]
    value, guess = (case.step, p.step) if case.step else (case.peak, p.peak)
    cells += [case.step or "", f"{p.step:.5g}", f"{guess / value - 1:+.4f}" if value else ""]
    cells += [f"{case.peak / GIB:.2f}" if case.peak else "", f"{p.peak / GIB:.2f}", case.fit or "", int(p.fits)]
    return [*cells, " ".join(sorted(case.labels)), *(f"{part:.5g}" for part in p.parts.values())]


def tables(scores: Scores, cases: Sequence[Case], skipped: Sequence[Skipped], width: int | None) -> Iterator[str]:
    """The scores in lines: per source, over sources, what is scored apart, by class, and what was left out."""
    whole, apart = scores.whole, scores.apart
    mean = cells(("mean", whole.step, whole.memory, whole.ranking, whole.fit))
    lines = [cells((s.name, s.step, s.memory, s.ranking, s.fit)) for s in whole.sources]
    yield from (*_table("source", [*lines, [paint(cell, BOLD) for cell in mean]], width), "")
    if apart:
        lines = [cells((name, s.step, s.memory, s.ranking, s.fit)) for name, s in apart.items()]
        yield from (*_table("scored apart", lines, width), "")
    lines = [class_cells(one) for one in scores.classes]
    yield from (*grids([Column("class", right=False), *CLASS_COLUMNS], [lines], width), "")
    used, main = len(cases), sum(case.main for case in cases)
    read = used + len(skipped)
    yield f"{used:,} of {read:,} rows used, {main:,} of them in the main score; {len(skipped):,} skipped:"
    reasons = Counter(skip.reason for skip in skipped).most_common()
    yield from (f"{count:>7,}  {reason}" for reason, count in reasons[:MOST_REASONS])
    if rest := sum(count for _, count in reasons[MOST_REASONS:]):
        yield f"{rest:>7,}  for other reasons (--json lists them)"


Line = tuple[str, Errors | None, MemoryErrors | Errors | None, Ranking | None, Confusion]
"""Name, step time, memory (GiB of one source: a mean over models of all sizes says nothing), ranking, verdicts."""

COLUMNS = columns(
    "runs|median|p90|bias:3|peaks:5|median of memory:1=median|p90 of memory:6=p90|GiB:8|groups:7|regret:2|rho:9|fits:4|"
    "oom:4"
)
CLASS_COLUMNS = columns(
    "runs|median|p90|bias:2|source:6=sources|its p90:7=p90|in band:3|peaks:4|memory:1=median|its p90:1=p90|"
    "held:5=in band|fits:1|share:1"
)


def class_cells(one: ClassScore) -> list[str]:
    """One class as text: steps over runs and over sources, peaks, runs said to fit of those that ran."""
    text = [one.name, *_spread(one.step), "" if one.step is None else f"{one.step.bias:+.1%}"]
    text += [*_spread(one.by_source)[1:], _share(one.step_band.share), *_spread(one.memory)]
    ran = one.fit.fits_fits + one.fit.fits_oom
    right = one.fit.fits_fits / ran if ran else None
    return [*text, _share(one.memory_band.share), _of(one.fit.fits_fits, one.fit.fits_oom), _share(right)]


def _share(found: float | None) -> str:
    return "" if found is None else f"{found:.0%}"


def _table(title: str, lines: Sequence[Sequence[str]], width: int | None) -> list[str]:
    return grids([Column(title, right=False), *COLUMNS], [lines], width)


def cells(line: Line) -> list[str]:
    """One line of a table as text: step time, memory, ranking, verdicts right of those known."""
    name, step, memory, ranking, fit = line
    text = [name, *_spread(step)]
    text.append("" if step is None else f"{step.bias:+.1%}")
    shares, gib = (memory.relative, f"{memory.gib:+.1f}") if isinstance(memory, MemoryErrors) else (memory, "")
    text += [*_spread(shares), gib]
    rho = "" if ranking is None or ranking.spearman is None else f"{ranking.spearman:.2f}"
    text += ["", "", ""] if ranking is None else [str(ranking.groups), f"{ranking.mean_regret:.1%}", rho]
    return [*text, _of(fit.fits_fits, fit.fits_oom), _of(fit.oom_oom, fit.oom_fits)]


def _spread(found: Errors | None) -> list[str]:
    return ["", "", ""] if found is None else [f"{found.n:,}", f"{found.median:.1%}", f"{found.p90:.1%}"]


def _of(right: int, wrong: int) -> str:
    return f"{right:,}/{right + wrong:,}" if right + wrong else ""
