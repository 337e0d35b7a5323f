"""planner check: a script or configuration that people have, against its framework and its cluster."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.htmlfile import Html
from planner.cli.request import complete, length
from planner.errors import EXIT_BAD_INPUT, EXIT_FITS, EXIT_NOTHING_FITS, PlannerError, UnitError

if TYPE_CHECKING:
    from planner.catalog.library import Library
    from planner.launch.check import Verdict
    from planner.launch.program import Setup
    from planner.read.reading import Reading
    from planner.schema.hardware import Cluster
    from planner.schema.model import Model

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

PRESETS = {
    "megatron": "megatron-core",
    "megatron-deepspeed": "megatron-deepspeed",
    "deepspeed": "megatron-deepspeed",
    "torchtitan": "torchtitan",
}
"""Whose kernels a file is timed with unless --framework says."""


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
    from planner.cli.infile import read_text
    from planner.cli.screen import notes, progress, show
    from planner.launch import check as judged
    from planner.launch.header import read_header
    from planner.launch.targets import TARGETS
    from planner.questions.ask import share_of_memory
    from planner.questions.train import caveats_of
    from planner.report.check import document
    from planner.report.check import text as shown
    from planner.report.jsonout import write

    share, text, library = share_of_memory(margin), read_text(file), open_library(profiles, False)
    given: dict[str, Any] = {"seq": seq, "global_batch": global_batch, "b": micro_batch, "tp": tp, "pp": pp}
    names = {"model": model, "gpus": gpus, "framework": framework, "network": network}
    setup, reading, assumed = _understood(text, file, library, read_header(text), names, given, _settings(variables))
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


def _page(path: Path, verdict: Verdict, found: dict[str, Any], quiet: bool) -> None:
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


def _understood(
    text: str,
    file: str,
    library: Library,
    said: dict[str, str],
    names: dict[str, str | None],
    given: dict[str, Any],
    variables: dict[str, str],
) -> tuple[Setup, Reading, tuple[str, ...]]:
    """The job and plan of the file; options go before what the file's own header says."""
    from planner.launch.check import setup_of
    from planner.launch.header import completed, silent, stated, unread
    from planner.read.answer import SCHEMAS
    from planner.read.context import Context
    from planner.read.script import kind_of, read_any

    if kind_of(text) == "json" and any(f'"{schema}"' in text[:300] for schema in SCHEMAS):
        return _answered(text, library, names)
    cluster, assumed = _cluster(library, names["gpus"] or said.get("gpus"), names["network"])
    shape = _model(library, names["model"], said.get("model"))
    vocabulary = shape.vocab if shape else None
    known = Context(
        cluster.gpus, vocabulary, variables, _beside(file), cluster.nodes, partial(_known, library), given["seq"]
    )
    reading = unread(said) or completed(read_any(text, known), said)
    if shape is None and reading.model is None and reading.model_name:
        shape, called = _named(library, reading.model_name)
        assumed = (*assumed, *called)
    timed = reading.timed_as or _preset(library, reading, cluster.gpus)
    preset = library.framework(names["framework"] or said.get("framework") or timed)
    own = {name: value for name, value in stated(said).items() if silent(reading, name)}
    given = own | {name: value for name, value in given.items() if value is not None}
    setup, more = setup_of(reading, cluster, preset.value, shape, **given)
    return setup, reading, (*assumed, *more)


def _preset(library: Library, reading: Reading, gpus: int) -> str:
    """Whose speed the file is timed with."""
    if not reading.form:
        return PRESETS[reading.target]
    from planner.read.format import find_format

    own = ("deepspeed-zero3",) if reading.target == "deepspeed" and reading.plan.get("zero") == 3 and gpus > 1 else ()
    first, *rest = find_format(reading.form).presets
    if first == "hf" and reading.target == "accelerate" and reading.plan.get("zero", 0) > 1:
        first, rest = "hf-fsdp", ["hf", *rest]
    known = library.names("framework")
    zero = reading.plan.get("zero", 0)
    fsdp = zero > 0 and reading.target != "deepspeed"
    for name in (first, *own, *rest):
        preset = library.framework(name).value if name in known else None
        if preset is not None and zero in preset.zero and not (preset.tunes and fsdp and not preset.shard_is_master):
            return str(name)
    return "any"


def _known(library: Library, name: str) -> Model | None:
    """A model by what a file calls it, None where nobody knows it."""
    try:
        return _named(library, name)[0]
    except PlannerError:
        return None


def _named(library: Library, name: str) -> tuple[Model, tuple[str, ...]]:
    """The model that a file names, by its name, its Hugging Face id or the last part of its path.

    Raises:
        UnknownName: none of them is known; says what comes near.
    """
    last = name.rstrip("/").rpartition("/")[2]
    bare = re.sub(r"(?i)([_-](unsloth|bnb|4bit|bf16|fp8|hf|dynamic|base|instruct))+$", "", last)
    for one in dict.fromkeys((name, last, bare)):
        found = library.lookup("model", one) if one else None
        if found is not None:
            model: Model = found.value
            same = one == name or name.count("/") == 1
            return model, found.assumptions if same else (f"{name:.80} is taken as {model.name}, by its last part",)
    from planner.catalog.library import unknown

    error = unknown(library, ("model",), last or name)
    raise type(error)(
        f"the file trains {name!r:.80}, which is no model that is known here",
        (*error.hint[:1], "name it: --model llama3.1-8b, or a config.json"),
    )


def _answered(text: str, library: Library, names: dict[str, str | None]) -> tuple[Setup, Reading, tuple[str, ...]]:
    """The first plan of an answer of the planner."""
    from planner.launch.program import Setup
    from planner.read.answer import read_answer
    from planner.read.reading import Reading

    job, plan = read_answer(text, library, names["gpus"], names["framework"], names["network"]).chosen(1)
    target = job.framework.target or "megatron"
    return Setup(job, plan), Reading(target, job.model), ()


def _cluster(library: Library, text: str | None, network: str | None) -> tuple[Cluster, tuple[str, ...]]:
    from planner.catalog.clusters import find_cluster
    from planner.catalog.fabric import on_network

    if text is None:
        raise PlannerError("--gpus is missing: a script does not say what it runs on", "--gpus 4x8xH100")
    found = find_cluster(on_network(text, network), library)
    return found.value, found.assumptions


def _model(library: Library, named: str | None, said: str | None) -> Model | None:
    """The model that the user names, or the one in the header if the catalogue has it."""
    if named is not None:
        return library.model(named).value
    found = library.lookup("model", said) if said else None
    model: Model | None = found.value if found else None
    return model


def _beside(file: str) -> Any:
    """Reads files that a script names, where they lie beside it or under the working directory, and no others."""
    from planner.cli.infile import read_text

    places = [Path()] if file == "-" else [Path(file).parent, Path()]

    def text_of(name: str) -> str | None:
        for place in places:
            for path in (place / name, place / Path(name).name):
                if _inside(path, places) and path.is_file():
                    return read_text(str(path))
        return None

    return text_of


def _inside(path: Path, places: list[Path]) -> bool:
    """Whether a path leads to somewhere below one of the places."""
    try:
        whole = path.resolve()
        return any(whole.is_relative_to(place.resolve()) for place in places)
    except (OSError, RuntimeError, ValueError):
        return False
