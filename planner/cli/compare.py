"""planner compare: the same job on several clusters, side by side."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from planner.cli.answers import Html, answered
from planner.cli.request import Request, asks, job_options, takes_request
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

_Price = Annotated[list[str] | None, asks("Output", "--price", says="US dollars per GPU and hour: H100=2.5/h")]


def compare(request: Request, price: _Price = None, html: Html = None) -> None:
    """The best plan of the same job on several clusters, one column each.

    A job that does not fit is relaxed as by `recommend`, unless --exact. Prices are shown where they are known.
    """
    if not request.model or not request.gpus:
        missing = "--gpus" if request.model else "--model"
        raise PlannerError(f"{missing} is missing", "planner compare --model llama70b --gpus 64xA100,64xH100,32xB200")
    from planner.cli.screen import notes, progress
    from planner.questions.curve import compare as search
    from planner.questions.train import caveats
    from planner.report.curve import comparison, comparison_json
    from planner.report.words import warning

    with progress(request.quiet):
        columns = search(request.model, request.gpus, price=price or (), exact=request.exact, **job_options(request))
    said = [s for c in columns for s in (*c.question.assumptions, *caveats(c.question.job, c.question.bounds))]
    notes(tuple(dict.fromkeys(said)), request.quiet)
    answered(lambda: comparison_json(columns), partial(comparison, columns), request.as_json, html, request.quiet)
    runs, fits = (any(found) for found in zip(*((bool(c.answer.ranked), c.answer.fits) for c in columns), strict=True))
    notes(warning(fits, runs), request.quiet)
    raise typer.Exit(EXIT_FITS if runs else EXIT_NOTHING_FITS)


_model = asks(None, "--model", "-m", says="Model, as for recommend", show_default=False)
_gpus = asks(None, "--gpus", "-g", says="Clusters: 64xA100,64xH100,32xB200", show_default=False)

command = takes_request(compare, model=Annotated[str, _model], gpus=Annotated[str, _gpus])
"""What `planner compare` runs."""
