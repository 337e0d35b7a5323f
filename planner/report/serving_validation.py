"""Scores of deployments against measured runs, as JSON and as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from planner.accuracy.measures import split
from planner.accuracy.rows import Skipped
from planner.accuracy.serving_score import APART, ServePrediction, ServeScore, Size, main, score, size
from planner.catalog.yamlfile import table
from planner.frozen import picked
from planner.report.grid import Column
from planner.report.grid import tables as grids
from planner.report.validation import csv_text

if TYPE_CHECKING:
    from planner.documents import scores as form

NAMES: dict[str, str] = table("report", "words.yaml")["scores"]
"""Scores in words."""


def tables(predictions: Sequence[ServePrediction], skipped: Sequence[Skipped], width: int | None) -> Iterator[str]:
    """The main scores, those of each engine and source, and what is scored apart."""
    counted = main(predictions)
    whole = score(counted)
    yield from (*_table("what", {NAMES.get(name, name): found for name, found in whole.sizes.items()}, width), "")
    yield from (*choices(whole), "")
    yield from (*_table("what, engine, accelerator", by_machine(counted), width), "")
    yield from _table("scored apart", apart(predictions), width)
    for reason, count in Counter(skip.reason for skip in skipped).most_common():
        yield f"not scored: {count} x {reason}"


def choices(whole: ServeScore) -> list[str]:
    """Order of layouts and choices under a bound, in words."""
    order, picks = whole.order, whole.picks
    return [
        f"order of layouts in one workload: {order.share:.1%} of {order.pairs} pairs as measured",
        f"choices under a bound on the time per token: {picks.violating:.1%} of {picks.n} break it, the others lose "
        f"{picks.regret:.1%} of the tokens per second and GPU",
    ]


def by_machine(predictions: Sequence[ServePrediction]) -> dict[str, Size]:
    """Errors by what was measured, engine and accelerator."""
    groups = split(
        predictions, lambda p: f"{p.case.kind}, {p.case.job.engine.name}, {p.case.job.cluster.accelerator.name}"
    )
    return {name: size([p.error for p in chosen]) for name, chosen in sorted(groups.items())}


def apart(predictions: Sequence[ServePrediction]) -> dict[str, Size]:
    """Errors of the rows that do not count, by label and what was measured."""
    found = {}
    for label in sorted(APART):
        chosen = [p for p in predictions if label in p.case.labels]
        for kind, rows in sorted(split(chosen, lambda p: p.case.kind).items()):
            found[f"{label}: {NAMES.get(kind, kind)}"] = size([p.error for p in rows])
    return found


def _table(first: str, sizes: dict[str, Size], width: int | None) -> list[str]:
    columns = [Column(first, right=False), Column("rows", 1), Column("mean |error|")]
    columns += [Column("median |error|", 2), Column("bias")]
    rows = [(name, f"{x.n:,}", f"{x.mean:.1%}", f"{x.median:.1%}", f"{x.bias:+.1%}") for name, x in sizes.items()]
    return grids(columns, [rows], width)


def document(predictions: Sequence[ServePrediction], skipped: Sequence[Skipped]) -> form.ServingValidation:
    """The scores, machine-readable; errors as shares of the measured value."""
    counted = main(predictions)
    whole = score(counted)
    return {
        "schema": "planner.serving-validation/1",
        "sizes": {name: _size(found) for name, found in whole.sizes.items()},
        "order": {"pairs": whole.order.pairs, "right": whole.order.share},
        "choices": cast("form.Choices", picked(whole.picks, "n violating regret")),
        "by_machine": {name: _size(found) for name, found in by_machine(counted).items()},
        "apart": {name: _size(found) for name, found in apart(predictions).items()},
        "rows": {"scored": len(counted), "apart": len(predictions) - len(counted), "skipped": len(skipped)},
    }


def _size(found: Size) -> form.Size:
    return cast("form.Size", picked(found, "rows=n mean median bias"))


def row_table(predictions: Sequence[ServePrediction]) -> str:
    """Every prediction as CSV: SI units, labels separated by spaces."""
    head = ("id", "kind", "engine", "accelerator", "model", "tp", "pp", "ep", "measured", "predicted", "labels")
    return csv_text(head, map(_cells, predictions))


def _cells(p: ServePrediction) -> list[Any]:
    case, plan = p.case, p.case.plan
    names = [case.job.engine.name, case.job.cluster.accelerator.name, case.job.model.name]
    return [case.id, case.kind, *names, plan.tp, plan.pp, plan.ep, case.value, p.value, " ".join(sorted(case.labels))]
