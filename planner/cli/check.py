"""planner check: a script or configuration that people have, against its framework and its cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.answers import Html, answered, plan_drawn
from planner.cli.request import asks, complete, length
from planner.errors import EXIT_BAD_INPUT, EXIT_FITS, EXIT_NOTHING_FITS, PlannerError, UnitError

_SAY, _OUT = "What the file does not say", "Output"
_SET = "A variable or argument that the script takes from outside: NODES=4, 1=8B"

FilePath = Annotated[str, typer.Argument(metavar="FILE", help="Script, flags, JSON or TOML; - for stdin")]
Gpus = Annotated[str | None, typer.Option("--gpus", "-g", help="Cluster, as for recommend", show_default=False)]
_OTHER = "Another network than the node's: 100GbE, NDR"
Network = Annotated[str | None, asks(None, "--network", says=_OTHER, show_default=False)]
ModelName = Annotated[str | None, asks(_SAY, "--model", "-m", says="Model", complete=complete("model"))]
FrameworkName = Annotated[
    str | None, asks(_SAY, "--framework", "-f", says="Preset of its speed", complete=complete("framework"))
]
Seq = Annotated[int | None, length("--seq", "Tokens per sequence", _SAY)]
Batch = Annotated[int | None, asks(_SAY, "--global-batch", says="Sequences per step", min=1)]
MicroBatch = Annotated[int | None, asks(_SAY, "--micro-batch", says="b", min=1)]
Images = Annotated[int | None, asks(_SAY, "--images", says="Images of every sequence", min=0)]
ImageSize = Annotated[int | None, asks(_SAY, "--image-size", says="Pixels of a side", min=1)]
Tp = Annotated[int | None, asks(_SAY, "--tp", says="Tensor parallel", min=1)]
Pp = Annotated[int | None, asks(_SAY, "--pp", says="Pipeline parallel", min=1)]
Set = Annotated[list[str] | None, asks(_SAY, "--set", says=_SET)]
Step = Annotated[str | None, typer.Option("--measured-step", help="What a step took: 29.4s; what would explain it?")]
Peak = Annotated[str | None, typer.Option("--measured-memory", help="Peak of the fullest rank: 71GiB")]
Oom = Annotated[bool, typer.Option("--oom", help="It ran out of memory: why, and what cures it?")]
Fork = Annotated[bool, asks(_SAY, "--fork", says="Options that the framework does not have are your fork's own")]
Margin = Annotated[str, typer.Option("--margin", help="Share of memory that must stay free: 8%")]
StrictFit = Annotated[bool, typer.Option("--strict-fit", help="Tight is a failure: the limit lies inside the band")]
Profiles = Annotated[Path | None, typer.Option("--profiles", help="Directory of your own profiles")]
Json = Annotated[bool, asks(_OUT, "--json", says="JSON on stdout")]
Quiet = Annotated[bool, asks(_OUT, "--quiet", "-q", says="No notes on stderr")]


def check(
    file: FilePath,
    gpus: Gpus = None,
    network: Network = None,
    model: ModelName = None,
    framework: FrameworkName = None,
    seq: Seq = None,
    global_batch: Batch = None,
    micro_batch: MicroBatch = None,
    tp: Tp = None,
    pp: Pp = None,
    images: Images = None,
    image_size: ImageSize = None,
    variables: Set = None,
    fork: Fork = False,
    margin: Margin = "0%",
    strict_fit: StrictFit = False,
    measured_step: Step = None,
    measured_memory: Peak = None,
    oom: Oom = False,
    profiles: Profiles = None,
    html: Html = None,
    as_json: Json = False,
    quiet: Quiet = False,
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
    from planner.report import check as report

    share, text, library = share_of_memory(margin), read_text(file), open_library(profiles, False)
    given = dict(zip(GIVEN, (seq, global_batch, micro_batch, tp, pp, images, image_size), strict=True))
    names = {"model": model, "gpus": gpus, "framework": framework, "network": network}
    setup, reading, assumed = understood(text, library, beside(file), names, given, _settings(variables))
    reading = reading.of_fork() if fork else reading
    assumptions = (*reading.notes, *assumed, *caveats_of(setup.job, setup.plan))
    notes(assumptions, quiet)
    with progress(quiet) as tick:
        verdict = judged.compared(judged.check(reading, setup, TARGETS[reading.target], share, tick), step, peak, oom)
    answered(
        lambda: report.document(verdict, file, assumptions),
        lambda width: report.text(file, verdict),
        as_json,
        html,
        quiet,
        lambda: plan_drawn(verdict.ranked, verdict.capacity) if verdict.ranked else {},
    )
    fits = verdict.fits and not (strict_fit and verdict.tight)
    raise typer.Exit(EXIT_BAD_INPUT if not verdict.legal else EXIT_FITS if fits else EXIT_NOTHING_FITS)


def _quantity(option: str, text: str | None, dimension: str = "byte") -> float | None:
    """A measured time or size."""
    if text is None:
        return None
    from planner.units import parse

    example = "29.4s" if dimension == "second" else "71GiB"
    try:
        value = parse(text, dimension)
    except UnitError as error:
        raise UnitError(f"{option}: {error}", f"{option} {example}") from None
    if value <= 0:
        raise PlannerError(f"{option} {text} must be positive", f"{option} {example}")
    return value


def _settings(pairs: list[str] | None) -> dict[str, str]:
    found = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not (name.isidentifier() or name.isdigit()):
            raise PlannerError(f"--set {pair!r:.40} is no NAME=VALUE", "--set NODES=4")
        found[name] = value
    return found
