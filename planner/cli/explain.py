"""planner explain: one plan, every number."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from planner.cli.answers import Html, answered, plan_drawn, saved
from planner.cli.ranking import GPUS, MODEL, Answer, chosen, examples_of, leave, of_answer, wants_answer
from planner.cli.request import Request, asks, takes_request

EXAMPLES = examples_of("explain")
_PICTURE = "SVG file: which accelerator holds what, who talks to whom"
_SERVE = "A deployment: all other options are those of `planner serve`"


def explain(
    request: Request,
    answer: Answer = None,
    plan: Annotated[int, asks("Output", "--plan", says="Which plan of the ranking")] = 1,
    picture: Annotated[Path | None, asks("Output", "--picture", says=_PICTURE)] = None,
    html: Html = None,
    serve: Annotated[bool, asks(None, "--serve", says=_SERVE)] = False,
) -> None:
    """Show every number of one plan with its formula, the numbers in it and its source.

    The plan is number --plan of the ranking that `recommend` gives for the same options, or of a JSON answer; pin
    degrees to explain another one.
    """
    del serve  # `planner.cli.commands` has taken it
    if wants_answer(request, answer, EXAMPLES):
        from planner.cli.infile import read_text

        one = of_answer(request, read_text(answer or "-"), plan, EXAMPLES)
    else:
        one = chosen(request, plan)
    from planner.report.explain import explanation, text
    from planner.report.jsonout import explained

    ranked = one.ranked
    lines = explanation(ranked)
    if picture is not None:
        from planner.report.picture import picture as drawn

        saved("--picture", picture, drawn(ranked, plan), request.quiet)
    answered(
        lambda: explained(ranked, plan, lines, one.assumptions),
        partial(text, ranked, lines),
        request.as_json,
        html,
        request.quiet,
        lambda: plan_drawn(ranked, plan),
    )
    leave(one.fits, one.as_asked, request.quiet)


command = takes_request(explain, model=MODEL, gpus=GPUS)
"""What `planner explain` runs."""
