"""planner check: a script or configuration that people have, against its framework and its cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.answers import Html, answered, plan_drawn
from planner.cli.request import asks, complete, length
from planner.errors import EXIT_BAD_INPUT, EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

if TYPE_CHECKING:
    from planner.launch.check import Verdict

_SAY, _OUT = "What the file does not say", "Output"
_SET = "A variable or argument that the script takes from outside: NODES=4, 1=8B"
_OTHER = "Another network than the node's: 100GbE, NDR"


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Script, flags, JSON or TOML; - for stdin")],
    gpus: Annotated[
        str | None, asks(None, "--gpus", "-g", says="Cluster, as for recommend", show_default=False)
    ] = None,
    network: Annotated[str | None, asks(None, says=_OTHER, show_default=False)] = None,
    model: Annotated[str | None, asks(_SAY, "--model", "-m", says="Model", complete=complete("model"))] = None,
    framework: Annotated[
        str | None, asks(_SAY, "--framework", "-f", says="Preset of its speed", complete=complete("framework"))
    ] = None,
    seq: Annotated[int | None, length("--seq", "Tokens per sequence", _SAY)] = None,
    global_batch: Annotated[int | None, asks(_SAY, says="Sequences per step", min=1)] = None,
    micro_batch: Annotated[int | None, asks(_SAY, says="b", min=1)] = None,
    tp: Annotated[int | None, asks(_SAY, says="Tensor parallel", min=1)] = None,
    pp: Annotated[int | None, asks(_SAY, says="Pipeline parallel", min=1)] = None,
    images: Annotated[int | None, asks(_SAY, says="Images of every sequence", min=0)] = None,
    image_size: Annotated[int | None, asks(_SAY, says="Pixels of a side", min=1)] = None,
    plan: Annotated[int | None, asks(_SAY, "--plan", says="Which plan of an answer", min=1)] = None,
    variables: Annotated[list[str] | None, asks(_SAY, "--set", says=_SET)] = None,
    fork: Annotated[
        bool, asks(_SAY, "--fork", says="Options that the framework does not have are your fork's own")
    ] = False,
    margin: Annotated[str, asks(None, says="Share of memory that must stay free: 8%")] = "0%",
    strict_fit: Annotated[
        bool, asks(None, "--strict-fit", says="Tight is a failure: the limit lies inside the band")
    ] = False,
    measured_step: Annotated[str | None, asks(None, says="What a step took: 29.4s; what would explain it?")] = None,
    measured_memory: Annotated[str | None, asks(None, says="Peak of the fullest rank: 71GiB")] = None,
    oom: Annotated[bool, asks(None, "--oom", says="It ran out of memory: why, and what cures it?")] = False,
    profiles: Annotated[Path | None, typer.Option("--profiles", help="Directory of your own profiles")] = None,
    html: Html = None,
    as_json: Annotated[bool, asks(_OUT, "--json", says="JSON on stdout")] = False,
    quiet: Annotated[bool, asks(_OUT, "--quiet", "-q", says="No notes on stderr")] = False,
) -> None:
    """Read a launch script or configuration: legal? fits? how fast? what to change?

    Reads files of Megatron-LM, DeepSpeed, torchtitan, Transformers and the trainers built on them, and answers of
    recommend and explain; scripts are never run. Exit codes: 0 legal and fits, 1 does not fit, 2 illegal.
    """
    step, peak = _quantity("--measured-step", measured_step, "second"), _quantity("--measured-memory", measured_memory)
    from planner.catalog.library import open_library
    from planner.cli.infile import beside, read_text
    from planner.cli.screen import notes, progress
    from planner.launch import check as judged
    from planner.launch.targets import TARGETS
    from planner.questions.ask import share_of_memory
    from planner.questions.train import caveats_of
    from planner.read.question import GIVEN, understood

    share, text, library = share_of_memory(margin), read_text(file), open_library(profiles, False)
    given = dict(zip(GIVEN, (seq, global_batch, micro_batch, tp, pp, images, image_size, plan), strict=True))
    names = {"model": model, "gpus": gpus, "framework": framework, "network": network}
    setup, reading, assumed = understood(text, library, beside(file), names, given, _settings(variables))
    reading = reading.of_fork() if fork else reading
    assumptions = (*reading.notes, *assumed, *caveats_of(setup.job, setup.plan))
    notes(assumptions, quiet)
    with progress(quiet) as tick:
        verdict = judged.compared(judged.check(reading, setup, TARGETS[reading.target], share, tick), step, peak, oom)
    _tell(verdict, file, assumptions, as_json, html, quiet)
    raise typer.Exit(_code(verdict, strict_fit))


def _code(verdict: Verdict, strict: bool) -> int:
    fits = verdict.fits and not (strict and verdict.tight)
    return EXIT_BAD_INPUT if not verdict.legal else EXIT_FITS if fits else EXIT_NOTHING_FITS


def _tell(
    verdict: Verdict, file: str, assumptions: tuple[str, ...], as_json: bool, html: Path | None, quiet: bool
) -> None:
    from planner.report.check import document, text

    answered(
        lambda: document(verdict, file, assumptions),
        lambda width: text(file, verdict),
        as_json,
        html,
        quiet,
        lambda: plan_drawn(verdict.ranked) if verdict.ranked else {},
    )


def _quantity(option: str, text: str | None, dimension: str = "byte") -> float | None:
    """A measured time or size."""
    if text is None:
        return None
    from planner.units import given

    usage = f"{option} {'29.4s' if dimension == 'second' else '71GiB'}"
    value = given(option, text, dimension, usage)
    if value <= 0:
        raise PlannerError(f"{option} {text} must be positive", usage)
    return value


def _settings(pairs: list[str] | None) -> dict[str, str]:
    found = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not (name.isidentifier() or name.isdigit()):
            raise PlannerError(f"--set {pair!r:.40} is no NAME=VALUE", "--set NODES=4")
        found[name] = value
    return found
