"""One plan, of the ranking or of a saved answer: what explain, launch and timeline start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.request import Request, asks, complete, resolve, within
from planner.cli.streams import has_input
from planner.errors import EXIT_NOTHING_FITS, PlannerError
from planner.frozen import frozen

if TYPE_CHECKING:
    from planner.questions.train import Ranked

Answer = Annotated[
    str | None,
    typer.Argument(metavar="[FILE]", help="Answer of recommend or explain as JSON, - for stdin", show_default=False),
]
_MODEL, _GPUS = "Model, as for recommend", "Cluster, as for recommend"
MODEL = Annotated[str, asks(None, "--model", "-m", says=_MODEL, complete=complete("model"), show_default=False)]
GPUS = Annotated[str, asks(None, "--gpus", "-g", says=_GPUS, show_default=False)]
"""Options that are not needed where an answer has both."""

BESIDE = ("model", "gpus", "network", "framework", "exact", "strict", "profiles", "as_json", "quiet")
"""Options that may stand beside an answer: the others are of the question that it came from."""


@frozen
class Chosen:
    """Plan number `number`; of the nearest misses, where nothing fits.

    Attributes:
        fits: the plan runs; as_asked: and gives up nothing.
    """

    ranked: Ranked
    fits: bool
    as_asked: bool
    assumptions: tuple[str, ...]


def examples_of(verb: str) -> tuple[str, str]:
    """How a plan reaches a verb."""
    job = "--model llama3.1-70b --gpus 4x8xH100"
    return f"planner {verb} {job} --plan 1", f"planner recommend {job} --json | planner {verb} - --plan 2"


def wants_answer(request: Request, answer: str | None, examples: Sequence[str]) -> bool:
    """Whether the plan comes as JSON.

    Raises:
        PlannerError: no plan is named, two are, or an option is of a question that the answer has answered.
    """
    if answer is not None and request.model:
        raise PlannerError(f"{answer} and --model exclude each other", "an answer has its own model")
    if request.model and not request.gpus:
        raise PlannerError("--gpus is missing", examples[0])
    if answer is None and not request.model and not has_input():
        raise PlannerError("no plan: name a model and its GPUs, or give an answer as JSON", examples)
    for field in () if request.model else fields(Request):
        if field.name not in BESIDE and getattr(request, field.name) != field.default:
            flag = "--" + field.name.replace("_", "-")
            raise PlannerError(
                f"{flag} is of a question, and a saved answer has answered its own",
                (f"ask it anew: planner recommend ... {flag} ... --json", f"or leave out {flag}"),
            )
    return not request.model


def of_answer(request: Request, text: str, number: int, examples: Sequence[str]) -> Chosen:
    """Plan `number` of a JSON answer, computed anew; notes go to stderr.

    Raises:
        PlannerError: nothing came, or no answer that has such a plan.
    """
    within("--plan", number)
    from planner.catalog.library import open_library
    from planner.cli.screen import notes
    from planner.questions.train import caveats_of, rank
    from planner.read.answer import read_answer
    from planner.search import Candidate

    if not text.strip():
        raise PlannerError("nothing came on stdin", examples)
    library = open_library(request.profiles, request.strict)
    found = read_answer(text, library, request.gpus or None, request.framework or None, request.network)
    if not found.plans:
        raise PlannerError("this answer holds no plan: nothing fits", "planner recommend says what would")
    job, plan = found.chosen(number)
    ranked, assumptions = rank(job, Candidate(plan, 0.0, 0.0)), caveats_of(job, plan)
    notes(assumptions, request.quiet)
    return Chosen(ranked, ranked.need <= ranked.capacity, True, assumptions)


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
    return Chosen(one, bool(answer.ranked), answer.fits, assumptions)


def leave(fits: bool, as_asked: bool, quiet: bool) -> None:
    """End with exit code 1 when nothing runs; warn a script when what runs is not what was asked."""
    from planner.cli.screen import notes
    from planner.report.words import warning

    notes(warning(as_asked, fits), quiet)
    if not fits:
        raise typer.Exit(EXIT_NOTHING_FITS)
