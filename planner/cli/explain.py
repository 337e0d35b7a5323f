"""planner explain: one plan, every number."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from planner.cli.ranking import chosen, leave
from planner.cli.request import Request, takes_request


@takes_request
def explain(
    request: Request,
    plan: Annotated[int, typer.Option("--plan", help="Which plan of the ranking", rich_help_panel="Output")] = 1,
) -> None:
    """Show every number of one plan with its formula, the numbers in it and its source.

    The plan is number --plan of the ranking that `recommend` gives for the same options; pin degrees to explain
    another one.
    """
    one = chosen(request, plan)
    from planner.report.explain import explanation, text

    lines = explanation(one.ranked, one.capacity)
    if request.as_json:
        from planner.report.jsonout import explained, write

        sys.stdout.write(write(explained(one.ranked, plan, one.capacity, lines, one.assumptions)))
    else:
        from planner.cli.screen import show, width

        show(text(one.ranked, one.capacity, lines, width()))
    leave(one.fits, one.as_asked, request.quiet)
