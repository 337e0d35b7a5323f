"""planner validate --serve: how far predictions of deployments are from measured ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli.answers import answered
from planner.cli.infile import measured
from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.accuracy.serving_corpus import ServeCorpus


def validate_serving(files: list[Path], as_json: bool, rows: Path | None, profiles: Path | None, quiet: bool) -> None:
    """Hold the planner against measured deployments."""
    corpus = _read(files or [measured("measured-serving")], profiles, quiet)
    from planner.accuracy.serving_score import predict
    from planner.report import serving_validation

    predictions = [predict(case) for case in corpus.cases]
    if rows is not None:
        from planner.cli.outfile import save

        save(rows, serving_validation.row_table(predictions), "--rows")
    found = predictions, corpus.skipped
    answered(lambda: serving_validation.document(*found), partial(serving_validation.tables, *found), as_json)


def _read(paths: list[Path], profiles: Path | None, quiet: bool) -> ServeCorpus:
    """The cases of all files."""
    from planner.accuracy.machines import Shelf
    from planner.accuracy.serving_corpus import ServeCorpus, read_rows
    from planner.catalog.library import open_library
    from planner.cli.screen import notes

    corpus = ServeCorpus(Shelf(open_library(profiles)))
    for path in paths:
        for table in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
            corpus.add(read_rows(table))
    notes(tuple(f"{skip.id} is not scored: {skip.reason}" for skip in corpus.skipped[:5]), quiet)
    if not corpus.cases:
        reasons = list(dict.fromkeys(skip.reason for skip in corpus.skipped))
        raise PlannerError(f"{', '.join(map(str, paths))[:200]}: no row can be used", reasons[:5])
    return corpus
