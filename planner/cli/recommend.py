"""planner recommend: rank the plans of a job."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.answers import Html, answered, print_json, written
from planner.cli.request import Request, asks, job_options, resolve, takes_request, within
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

if TYPE_CHECKING:
    from planner.documents.training import Run
    from planner.questions.train import Ranked
    from planner.schema.hardware import Cluster

_TOKENS = "Tokens of the whole run: days and money, too: 15T, 300B"


@takes_request
def recommend(
    request: Request,
    top: Annotated[int, asks("Output", "--top", says="How many plans to show")] = 10,
    tokens: Annotated[str | None, asks("Output", "--tokens", says=_TOKENS)] = None,
    html: Html = None,
) -> None:
    """Rank all plans of a model on a cluster: step time, MFU, bubble, memory of the fullest rank.

    A job that does not fit is relaxed in a documented order, unless --exact: 16-bit optimizer states, 8-bit ones,
    optimizer offload, LoRA. A range of clusters, --gpus 8xA100..128xA100, gives the best plan of each size, as asked.
    """
    within("--top", top)
    if tokens is not None:
        from planner.sizing.limits import read_tokens

        read_tokens(tokens)
    if ".." in request.gpus and _curve(request, tokens, html):
        return
    question = resolve(request)
    from planner.cli.screen import notes, progress
    from planner.questions.train import caveats
    from planner.questions.train import recommend as search
    from planner.report.words import warning

    assumptions = (*question.assumptions, *caveats(question.job, question.bounds))
    notes(assumptions, request.quiet)
    with progress(request.quiet) as tick:
        answer = search(question.job, question.bounds, top, request.exact, tick)
    run = None if tokens is None else _run(request, question.job.cluster, answer.ranked, tokens)
    if html is not None:
        from planner.report.jsonout import recommendation
        from planner.report.page_extras import extras

        written(html, recommendation(answer, assumptions), request.quiet, **extras(answer, question.bounds))
    if request.as_json:
        from planner.report.jsonout import recommendation

        print_json(recommendation(answer, assumptions) | ({} if run is None else {"run": run[0]}))
    else:
        from planner.cli.screen import show, width
        from planner.report.table import recommendation as table

        show(table(answer, sys.argv[1:], width(), () if run is None else run[1]))
    notes(warning(answer.fits, bool(answer.ranked)), request.quiet)
    raise typer.Exit(EXIT_FITS if answer.ranked else EXIT_NOTHING_FITS)


def _run(request: Request, cluster: Cluster, plans: list[Ranked], text: str) -> tuple[Run, list[str]]:
    """A run of so many tokens, for JSON and in lines."""
    from planner.catalog.library import open_library
    from planner.questions.curve import bill_of
    from planner.report.run import run_json, run_lines
    from planner.sizing.limits import read_tokens

    tokens = read_tokens(text) or 0.0
    paid = bill_of(cluster, {}, open_library(request.profiles, request.strict))
    return run_json(plans, tokens, paid), run_lines(plans, tokens, paid)


def _curve(request: Request, tokens: str | None, html: Path | None) -> bool:
    """Answer for a range of clusters; False when --gpus is none."""
    from planner.questions.curve import ask_curve, curve, is_range

    if not is_range(request.gpus):
        return False
    if tokens is not None:
        raise PlannerError("--tokens is about one cluster; of several it is", "planner size --tokens 15T --gpu H100")
    from planner.cli.screen import notes, progress
    from planner.questions.train import caveats
    from planner.report.curve import curve as ladder
    from planner.report.curve import curve_json

    question = ask_curve(request.model, request.gpus, **job_options(request))
    notes((*question.assumptions, *caveats(question.kind.job, question.kind.bounds)), request.quiet)
    with progress(request.quiet):
        answer = curve(question)
    answered(lambda: curve_json(answer), partial(ladder, answer), request.as_json, html, request.quiet)
    raise typer.Exit(EXIT_FITS if answer.rungs else EXIT_NOTHING_FITS)
