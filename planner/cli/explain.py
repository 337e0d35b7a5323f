"""planner explain: one plan, every number."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from planner.cli.request import Request, resolve, takes_request
from planner.errors import EXIT_NOTHING_FITS, PlannerError


@takes_request
def explain(
    request: Request,
    plan: Annotated[int, typer.Option("--plan", help="Which plan of the ranking", rich_help_panel="Output")] = 1,
) -> None:
    """Show every number of one plan with its formula, the numbers in it and its source.

    The plan is number --plan of the ranking that `recommend` gives for the same options; pin degrees to explain
    another one.
    """
    question = resolve(request)
    from planner.cli.screen import notes, progress
    from planner.recommend import caveats
    from planner.recommend import recommend as search
    from planner.report.explain import explanation, text

    if not 1 <= plan <= 1000:
        raise PlannerError(f"--plan must be between 1 and 1000, not {plan}")
    assumptions = (*question.assumptions, *caveats(question.job, question.bounds))
    notes(assumptions, request.quiet)
    with progress(request.quiet) as tick:
        answer = search(question.job, question.bounds, max(plan, 10), request.exact, tick)
    shown = answer.ranked or answer.misses
    if plan > len(shown):
        raise PlannerError(f"there are {len(shown)} plans, no number {plan}", "planner recommend shows them")
    lines = explanation(shown[plan - 1], answer.capacity)
    if request.as_json:
        from planner.report.jsonout import explained, write

        sys.stdout.write(write(explained(shown[plan - 1], plan, answer.capacity, lines, assumptions)))
    else:
        sys.stdout.write(text(shown[plan - 1], answer.capacity, lines))
    if not answer.ranked:
        raise typer.Exit(EXIT_NOTHING_FITS)
