"""planner validate: how far predictions are from measured runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.answers import answered
from planner.cli.infile import measured
from planner.errors import PlannerError, suggest

if TYPE_CHECKING:
    from planner.accuracy.corpus import Case, Corpus

BAR = 30
"""Cells of the progress bar."""


def validate(
    files: Annotated[
        list[Path] | None, typer.Argument(help="CSV files of measured runs, or folders of them", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout")] = False,
    svg: Annotated[Path | None, typer.Option("--svg", help="Draw predicted against measured, and regret")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="The same drawing as a page")] = None,
    rows: Annotated[Path | None, typer.Option("--rows", help="Write every prediction, with its parts, as CSV")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="Score the runs that carry this label instead of the main score; repeatable"),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Deployments for inference instead of training runs")] = False,
    profiles: Annotated[Path | None, typer.Option("--profiles", help="Directory of your own profiles")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress on stderr")] = False,
) -> None:
    """Hold the planner against measured runs: step time, ranking of layouts, peak memory, fits or out of memory.

    Without files: the runs published in papers and documentation that come with the planner.
    Mixtures of experts, 8-bit precision, LoRA, offload, unknown recomputation and doubtful rows are scored apart.
    """
    if serve:
        from planner.cli.validate_serving import validate_serving

        if svg or html or label:
            raise PlannerError("--svg, --html and --label are about training runs", "--serve has --rows, --json")
        return validate_serving(files or [], as_json, rows, profiles, quiet)
    corpus = _read(files or [measured("measured")], profiles, quiet)
    from planner.accuracy.classes import classes
    from planner.accuracy.predict import predict
    from planner.accuracy.score import apart, main, rank_groups, score
    from planner.cli.outfile import save
    from planner.report import scatter, validation

    cases = _labelled(corpus.cases, label or [])
    with _progress(len(cases), quiet) as tick:
        predictions = predict(cases, tick)
    chosen = predictions if label else main(predictions)
    scores = validation.Scores(score(chosen), {} if label else apart(predictions), classes(predictions))

    for path, option, draw in ((svg, "--svg", scatter.svg), (html, "--html", scatter.html)):
        if path is not None:
            save(path, draw(chosen, rank_groups(chosen)), option)
    if rows is not None:
        save(rows, validation.row_table(predictions), "--rows")
    found = scores, cases, corpus.skipped
    answered(lambda: validation.document(*found), partial(validation.tables, *found), as_json)


def _read(paths: list[Path], profiles: Path | None, quiet: bool) -> Corpus:
    """The cases of all files."""
    from planner.accuracy.corpus import Corpus
    from planner.accuracy.machines import Shelf
    from planner.accuracy.rows import read_folder, read_table
    from planner.catalog.library import open_library
    from planner.cli.screen import notes

    corpus = Corpus(Shelf(open_library(profiles)))
    for path in paths:
        tables, others = read_folder(path) if path.is_dir() else ([read_table(path)], [])
        notes(tuple(f"{path / name} is not a table of training runs" for name in others), quiet)
        for table in tables:
            corpus.add(table.rows)
    if not corpus.cases:
        reasons = list(dict.fromkeys(skip.reason for skip in corpus.skipped))
        names = ", ".join(str(path) for path in paths)[:200]
        what = f"{names}: none of {len(corpus.skipped)} rows can be used"
        raise PlannerError(what if corpus.skipped else f"{names}: no rows of measured runs", reasons[:5])
    return corpus


def _labelled(cases: list[Case], labels: list[str]) -> list[Case]:
    """Cases that carry every label."""
    known = sorted({name for case in cases for name in case.labels})
    for label in labels:
        if label not in known:
            near = suggest(label, known) or known[:20]
            raise PlannerError(f"--label {label!r:.60}: no row carries it", f"labels here: {', '.join(near)}")
    return [case for case in cases if case.labels.issuperset(labels)]


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr while runs are evaluated; nothing when stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return

    def tick(done: int) -> None:
        cells = BAR * done // max(total, 1)
        sys.stderr.write(f"\r{'█' * cells}{'·' * (BAR - cells)} {done:,} of {total:,} runs")
        sys.stderr.flush()

    yield tick
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
