"""planner timeline: draw a schedule, several on one scale, or a plan of the ranking."""

from __future__ import annotations

import os
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.answers import Html, print_json, saved
from planner.cli.ranking import Chosen, chosen, leave, of_answer, wants_answer
from planner.cli.request import Request, asks, complete, takes_request, within
from planner.cli.streams import has_input
from planner.errors import PlannerError, suggest
from planner.units import whole_number

if TYPE_CHECKING:
    from planner.report.panels import Figure

FORMATS = ("terminal", "svg", "html", "trace")

SUFFIXES = {".svg": "svg", ".html": "html", ".htm": "html", ".json": "trace"}
"""What the name of --out says about the format."""

PIPED = 118
"""Columns of a drawing that goes into a pipe or a file."""

SHARED = ("model", "gpus", "pp", "v", "as_json", "quiet")
"""Options of Request that schedules by name take too, or that make the difference."""

EXAMPLES = (
    "planner timeline 1f1b --pp 4 -m 8",
    "planner timeline --compare gpipe,1f1b,interleaved:2 --pp 4 -m 8",
    "planner timeline --model llama70b --gpus 64xA100 --plan 1",
    "planner recommend --model llama70b --gpus 64xA100 --json | planner timeline - --plan 2",
)

_NAMED, _OUT, _PIN = "A schedule by name", "Output", "Pin or bound"


_FORWARD = "Forward of one micro-batch on one rank: 12ms, or a number of slots (default: 1)"
_BACKWARD = "Its whole backward (default: as long as the forward; twice as long when a schedule splits it)"
_WEIGHT = "The part of the backward that is the weight gradient (default: half)"
_FORMAT = "terminal, svg, html, trace (default: what --out ends in)"
Forward = Annotated[str | None, asks(_NAMED, "--forward", says=_FORWARD)]


def timeline(
    request: Request,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="SCHEDULE", help="Schedule to draw: gpipe, 1f1b, interleaved:2 ...; or a JSON answer, - for stdin"
        ),
    ] = None,
    compare: Annotated[str | None, asks(_NAMED, says="Several on one scale: gpipe,1f1b,interleaved:2")] = None,
    micro_batches: Annotated[int | None, asks(_NAMED, says="Micro-batches, or -m 8 (default: 8)")] = None,
    forward: Forward = None,
    backward: Annotated[str | None, asks(_NAMED, says=_BACKWARD)] = None,
    weight: Annotated[str | None, asks(_NAMED, says=_WEIGHT)] = None,
    p2p: Annotated[str | None, asks(_NAMED, says="One hop between ranks (default: 0)")] = None,
    blocking: Annotated[bool, asks(_NAMED, "--blocking", says="Ranks wait until their sends are received")] = False,
    plan: Annotated[int | None, asks(_OUT, says="Which plan of the ranking (default: 1)")] = None,
    memory: Annotated[bool, asks(_OUT, "--memory", says="Bytes of every rank over the step")] = False,
    form: Annotated[str | None, asks(_OUT, "--format", says=_FORMAT)] = None,
    out: Annotated[Path | None, asks(_OUT, "--out", "-o", says="File to write")] = None,
    html: Html = None,
    width: Annotated[int | None, asks(_OUT, says="Columns of a terminal drawing")] = None,
) -> None:
    """Draw a pipeline schedule as the papers do, with its bubble, time and peak activations.

    A schedule by name with --pp and -m, several with --compare, or, with --model and --gpus, a plan of the ranking
    that `recommend` gives, or of its saved answer, with its own stage times. A trace opens in ui.perfetto.dev.
    """
    if request.model.removeprefix("-").isdecimal() and micro_batches is None:
        request, micro_batches = replace(request, model=""), int(request.model)
    style = _format(form, out)
    if width is not None:
        within("--width", width, 2000, 40)
    if request.as_json and form is not None and out is None:
        raise PlannerError("--json and --format both want stdout", "give the drawing a file: --out FILE")
    times = {"--forward": forward, "--backward": backward, "--weight": weight, "--p2p": p2p}
    given = {"-m": micro_batches, **times, "--blocking": blocking or None}
    theirs = ["--plan"] * (plan is not None) + ["--memory"] * memory
    used = [flag for flag, value in given.items() if value is not None]
    number = 1 if plan is None else plan
    text = _saved(request, name, compare, used)
    if text is not None and wants_answer(request, name or "-", EXAMPLES[2:]):
        figure, fits, as_asked = _of_plan(of_answer(request, text, number, EXAMPLES), number, memory)
    elif _wants_plan(request, name, compare, theirs, used):
        figure, fits, as_asked = _of_plan(chosen(request, number), number, memory)
    else:
        from planner.cli.named import figure_of_names

        figure = figure_of_names(
            str(compare if name is None else name), request.pp, request.v, micro_batches, times, blocking
        )
        fits = as_asked = True
    if html is not None:
        saved("--html", html, _text(figure, "html", PIPED), request.quiet)
    _deliver(figure, style, request, out, width)
    leave(fits, as_asked, request.quiet)


def _format(form: str | None, out: Path | None) -> str:
    """The format asked for, or the one that the file's name says."""
    if form is None:
        return SUFFIXES.get(out.suffix.lower(), "terminal") if out is not None else "terminal"
    if form not in FORMATS:
        raise PlannerError(
            f"--format {form!r:.40} is unknown", f"did you mean: {', '.join(suggest(form, FORMATS) or FORMATS)} ?"
        )
    return form


def _saved(request: Request, name: str | None, compare: str | None, used: list[str]) -> str | None:
    """The text of a saved answer: of a file of JSON, or what comes on stdin where nothing else is named."""
    from planner.cli.infile import read_text

    named = name is not None and (name == "-" or name.endswith(".json"))
    alone = not (name or compare or used or request.model or request.gpus) and has_input()
    text = read_text(name or "-") if named or alone else ""
    return text if named or text.strip() else None


def _wants_plan(request: Request, name: str | None, compare: str | None, plan: list[str], given: list[str]) -> bool:
    """Whether a plan is to be drawn; options of one kind of drawing are refused beside the other."""
    ours = (["a schedule by name"] if name is not None else []) + (["--compare"] if compare is not None else []) + given
    changed = [f.name for f in fields(Request) if f.name not in SHARED and getattr(request, f.name) != f.default]
    theirs = ["--" + name.replace("_", "-") for name in changed] + plan
    if request.model or request.gpus:
        if ours:
            raise PlannerError(
                f"{ours[0]} and --model exclude each other",
                ["a plan has its own schedule, micro-batches and stage times", *EXAMPLES],
            )
        if not (request.model and request.gpus):
            raise PlannerError(f"--{'gpus' if request.model else 'model'} is missing", EXAMPLES[2])
        return True
    if name is not None and compare is not None:
        raise PlannerError("a schedule by name and --compare exclude each other", EXAMPLES[:2])
    if theirs:
        raise PlannerError(f"{theirs[0]} is about a plan and needs --model and --gpus", EXAMPLES[2])
    if name is None and compare is None:
        raise PlannerError("nothing to draw: name a schedule, or a model and its GPUs", EXAMPLES)
    return False


def _of_plan(one: Chosen, number: int, memory: bool) -> tuple[Figure, bool, bool]:
    """A plan with its stage times, whether it fits, and whether it is what was asked."""
    from planner.cli.named import check_size
    from planner.questions.occupancy import occupancy
    from planner.report.jsonout import inputs
    from planner.report.jsonout import plan as as_data
    from planner.report.panels import Figure, Panel
    from planner.schedules import SCHEDULES
    from planner.simulate import replay_plan

    ranked, p = one.ranked, one.ranked.plan
    check_size(p.pp, p.m, p.v)
    title = f"plan {number}: {SCHEDULES[p.schedule].title}"
    degrees = " ".join(f"{key} {getattr(p, key)}" for key in ("tp", "cp", "ep", "pp", "v", "dp", "b", "m"))
    caption = (
        f"{ranked.job.model.name} on {ranked.job.cluster.gpus:,} × {ranked.job.cluster.accelerator.name} · {degrees}"
    )
    asked = inputs(ranked.job) | {"plan": as_data(ranked, number)}
    ran = replay_plan(ranked.job, p)
    held = occupancy(ranked.job, p, ran) if memory else ()
    panel = Panel(title, caption, ran, held, ranked.capacity if memory else 0.0)
    return Figure((panel,), False, asked), one.fits, one.as_asked


def _deliver(figure: Figure, style: str, request: Request, out: Path | None, width: int | None) -> None:
    """The drawing to a file or to stdout; with --json the numbers to stdout."""
    if out is not None:
        saved("--out", out, _text(figure, style, width or PIPED), request.quiet, f"{style}, ")
    if request.as_json:
        from planner.report.panels import timelines

        print_json(timelines(figure))
    elif out is None and style == "terminal":
        _show(figure, width)
    elif out is None:
        sys.stdout.write(_text(figure, style, PIPED))


def _show(figure: Figure, asked: int | None) -> None:
    """On the terminal, in colour if it has any."""
    from planner.cli.screen import show, width
    from planner.report.panels import Clock
    from planner.report.timeline import drawing

    columns = whole_number(os.environ.get("COLUMNS", ""))
    piped = PIPED if columns is None else max(columns, 40)
    show(drawing(figure.panels, Clock(figure.slots), asked or width() or piped), asked is not None)


def _text(figure: Figure, style: str, width: int) -> str:
    """The drawing as the contents of a file."""
    from planner.report.grid import plain
    from planner.report.panels import Clock
    from planner.report.timeline import drawing
    from planner.report.timeline_svg import page, svg
    from planner.report.trace import trace

    clock = Clock(figure.slots)
    if style == "terminal":
        return "".join(f"{plain(line).rstrip()}\n" for line in drawing(figure.panels, clock, width))
    return {"svg": svg, "html": page, "trace": trace}[style](figure.panels, clock)


_MODEL = "Draw a plan of this model (a number: so many micro-batches of a schedule by name)"
_PP = "Pipeline parallel; of a schedule by name: its ranks (default: 4)"
_V = "Chunks per rank; of a schedule by name: interleaved --v 2 is interleaved:2"

command = takes_request(
    timeline,
    model=Annotated[str, asks(None, "--model", "-m", says=_MODEL, complete=complete("model"), show_default=False)],
    gpus=Annotated[str, asks(None, "--gpus", "-g", says="... on this cluster: 64xA100", show_default=False)],
    pp=Annotated[str | None, asks(_PIN, "--pp", says=_PP)],
    v=Annotated[str | None, asks(_PIN, "--v", says=_V)],
)
"""What `planner timeline` runs."""
