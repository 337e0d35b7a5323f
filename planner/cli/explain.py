"""planner explain: one plan, every number."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.htmlfile import Html
from planner.cli.ranking import chosen, leave
from planner.cli.request import Request, takes_request

_Picture = Annotated[
    Path | None,
    typer.Option(
        "--picture", help="SVG file: which accelerator holds what, who talks to whom", rich_help_panel="Output"
    ),
]


@takes_request
def explain(
    request: Request,
    plan: Annotated[int, typer.Option("--plan", help="Which plan of the ranking", rich_help_panel="Output")] = 1,
    picture: _Picture = None,
    html: Html = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="A deployment: all other options are those of `planner serve`")
    ] = False,
) -> None:
    """Show every number of one plan with its formula, the numbers in it and its source.

    The plan is number --plan of the ranking that `recommend` gives for the same options; pin degrees to explain
    another one.
    """
    del serve  # `planner.cli.commands` has taken it
    one = chosen(request, plan)
    from planner.report.explain import explanation, text

    lines = explanation(one.ranked, one.capacity)
    if picture is not None:
        from planner.cli.htmlfile import saved
        from planner.report.picture import picture as drawn

        saved("--picture", picture, drawn(one.ranked, plan), request.quiet)
    if html is not None:
        from planner.cli.htmlfile import written
        from planner.report.jsonout import explained
        from planner.report.page_extras import of_plan

        document = explained(one.ranked, plan, one.capacity, lines, one.assumptions)
        written(html, document, request.quiet, **of_plan(one.ranked, one.capacity, plan))
    if request.as_json:
        from planner.report.jsonout import explained, write

        sys.stdout.write(write(explained(one.ranked, plan, one.capacity, lines, one.assumptions)))
    else:
        from planner.cli.screen import show, width

        show(text(one.ranked, one.capacity, lines, width()))
    leave(one.fits, one.as_asked, request.quiet)
