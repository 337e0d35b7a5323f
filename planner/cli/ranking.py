"""One plan of the ranking: what explain, launch and timeline start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from planner.cli.request import Request, resolve, within
from planner.errors import EXIT_NOTHING_FITS, PlannerError
from planner.frozen import frozen

if TYPE_CHECKING:
    from planner.questions.train import Ranked


@frozen
class Chosen:
    """Plan number `number`; of the nearest misses, where nothing fits.

    Attributes:
        fits: the plan runs; as_asked: and gives up nothing.
    """

    ranked: Ranked
    capacity: float
    fits: bool
    as_asked: bool
    assumptions: tuple[str, ...]


def chosen(request: Request, number: int, target: str | None = None) -> Chosen:
    """The plan that `recommend` ranks at `number` for the same options, by the rules of a target; notes go to stderr.

    Raises:
        PlannerError: there is no such plan, or something is wrong with the request.
    """
    within("--plan", number)
    question = resolve(request)
    from planner.cli.screen import notes, progress
    from planner.questions.train import caveats, recommend
    from planner.report.words import unfit
    from planner.training.frameworks import launched_by

    job = launched_by(question.job, target)
    assumptions = (*question.assumptions, *caveats(job, question.bounds))
    notes(assumptions, request.quiet)
    with progress(request.quiet) as tick:
        answer = recommend(job, question.bounds, max(number, 10), request.exact, tick)
    notes(unfit(answer), request.quiet)
    shown = answer.ranked or answer.misses
    if number > len(shown):
        raise PlannerError(f"there are {len(shown)} plans, no number {number}", "planner recommend shows them")
    one = shown[number - 1]
    return Chosen(one, one.capacity, bool(answer.ranked), answer.fits, assumptions)


def leave(fits: bool, as_asked: bool, quiet: bool) -> None:
    """End with exit code 1 when nothing runs; warn a script when what runs is not what was asked."""
    from planner.cli.screen import notes
    from planner.report.words import warning

    notes(warning(as_asked, fits), quiet)
    if not fits:
        raise typer.Exit(EXIT_NOTHING_FITS)
