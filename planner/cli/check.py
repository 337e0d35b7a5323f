"""planner check: a script or configuration that people have, against its framework and its cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.htmlfile import Html
from planner.cli.request import complete, length
from planner.errors import EXIT_BAD_INPUT, EXIT_FITS, EXIT_NOTHING_FITS, PlannerError, UnitError

if TYPE_CHECKING:
    from planner.launch.check import Verdict

_SAY = "What the file does not say"
_OUT = "Output"

FilePath = Annotated[str, typer.Argument(metavar="FILE", help="Script, flags, JSON or TOML; - for stdin")]
Gpus = Annotated[str | None, typer.Option("--gpus", "-g", help="Cluster, as for recommend", show_default=False)]
Network = Annotated[
    str | None, typer.Option("--network", help="Another network than the node's: 100GbE, NDR", show_default=False)
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Model", autocompletion=complete("model"), rich_help_panel=_SAY),
]
FrameworkName = Annotated[
    str | None,
    typer.Option(
        "--framework", "-f", help="Preset of its speed", autocompletion=complete("framework"), rich_help_panel=_SAY
    ),
]
Seq = Annotated[int | None, length("--seq", "Tokens per sequence", _SAY)]
Batch = Annotated[int | None, typer.Option("--global-batch", help="Sequences per step", min=1, rich_help_panel=_SAY)]
MicroBatch = Annotated[int | None, typer.Option("--micro-batch", help="b", min=1, rich_help_panel=_SAY)]
Images = Annotated[int | None, typer.Option("--images", help="Images of every sequence", min=0, rich_help_panel=_SAY)]
ImageSize = Annotated[int | None, typer.Option("--image-size", help="Pixels of a side", min=1, rich_help_panel=_SAY)]
Tp = Annotated[int | None, typer.Option("--tp", help="Tensor parallel", min=1, rich_help_panel=_SAY)]
Pp = Annotated[int | None, typer.Option("--pp", help="Pipeline parallel", min=1, rich_help_panel=_SAY)]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A variable or argument that the script takes from outside: NODES=4, 1=8B", rich_help_panel=_SAY
    ),
]
Step = Annotated[str | None, typer.Option("--measured-step", help="What a step took: 29.4s; what would explain it?")]
Peak = Annotated[str | None, typer.Option("--measured-memory", help="Peak of the fullest rank: 71GiB")]
Oom = Annotated[bool, typer.Option("--oom", help="It ran out of memory: why, and what cures it?")]
Fork = Annotated[
    bool,
    typer.Option("--fork", help="Options that the framework does not have are your fork's own", rich_help_panel=_SAY),
]
Margin = Annotated[str, typer.Option("--margin", help="Share of memory that must stay free: 8%")]
StrictFit = Annotated[bool, typer.Option("--strict-fit", help="Tight is a failure: the limit lies inside the band")]
Profiles = Annotated[Path | None, typer.Option("--profiles", help="Directory of your own profiles")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout", rich_help_panel=_OUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr", rich_help_panel=_OUT)]


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
    from planner.cli.screen import notes, progress, show
    from planner.launch import check as judged
    from planner.launch.targets import TARGETS
    from planner.questions.ask import share_of_memory
    from planner.questions.train import caveats_of
    from planner.read.question import understood
    from planner.report.check import document
    from planner.report.check import text as shown
    from planner.report.jsonout import write

    share, text, library = share_of_memory(margin), read_text(file), open_library(profiles, False)
    given: dict[str, Any] = {"seq": seq, "global_batch": global_batch, "micro_batch": micro_batch, "tp": tp, "pp": pp}
    given |= {"images": images, "image_size": image_size}
    names = {"model": model, "gpus": gpus, "framework": framework, "network": network}
    setup, reading, assumed = understood(text, library, beside(file), names, given, _settings(variables))
    reading = reading.of_fork() if fork else reading
    assumptions = (*reading.notes, *assumed, *caveats_of(setup.job, setup.plan))
    notes(assumptions, quiet)
    with progress(quiet) as tick:
        verdict = judged.compared(judged.check(reading, setup, TARGETS[reading.target], share, tick), step, peak, oom)
    if html is not None:
        _page(html, verdict, document(verdict, file, assumptions), quiet)
    if as_json:
        sys.stdout.write(write(document(verdict, file, assumptions)))
    else:
        show(shown(file, verdict))
    fits = verdict.fits and not (strict_fit and verdict.tight)
    raise typer.Exit(EXIT_BAD_INPUT if not verdict.legal else EXIT_FITS if fits else EXIT_NOTHING_FITS)


def _page(path: Path, verdict: Verdict, found: Mapping[str, Any], quiet: bool) -> None:
    """The verdict's page, with every number of the plan as written."""
    from planner.cli.htmlfile import written
    from planner.report.page_extras import of_plan

    written(path, found, quiet, **of_plan(verdict.ranked, verdict.capacity) if verdict.ranked else {})


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
