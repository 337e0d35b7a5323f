"""planner recommend: rank the plans of a job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from planner.cli.request import Request, resolve, takes_request
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError


@takes_request
def recommend(
    request: Request,
    top: Annotated[int, typer.Option("--top", help="How many plans to show", rich_help_panel="Output")] = 10,
) -> None:
    """Rank all plans of a model on a cluster: step time, MFU, bubble, memory of the fullest rank.

    A job that does not fit is relaxed in a documented order, unless --exact: 16-bit optimizer states, 8-bit ones,
    optimizer offload, LoRA.
    """
    if not 1 <= top <= 1000:
        raise PlannerError(f"--top must be between 1 and 1000, not {top}")
    question = resolve(request)
    from planner.cli.screen import notes, progress
    from planner.recommend import caveats
    from planner.recommend import recommend as search

    assumptions = (*question.assumptions, *caveats(question.job, question.bounds))
    notes(assumptions, request.quiet)
    with progress(request.quiet) as tick:
        answer = search(question.job, question.bounds, top, request.exact, tick)
    if request.as_json:
        from planner.report.jsonout import recommendation, write

        sys.stdout.write(write(recommendation(answer, assumptions)))
    else:
        from planner.cli.screen import console
        from planner.report.table import recommendation as table

        table(console(), answer, sys.argv[1:])
    raise typer.Exit(EXIT_FITS if answer.ranked else EXIT_NOTHING_FITS)


Tick = Callable[[int], None]
