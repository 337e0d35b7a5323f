"""The options that describe a problem, the same for every command, and how they become a job and its bounds."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.catalog.library import Library
    from planner.schema.hardware import Cluster
    from planner.schema.model import Model
    from planner.training.job import Job
    from planner.training.space import Bounds, Range


def complete(kind: str) -> Callable[[str], list[str]]:
    """Shell completion over profile names: reads file names only."""

    def names(incomplete: str) -> list[str]:
        from planner.catalog.library import open_library

        return [name for name in open_library().names(kind) if name.startswith(incomplete)]

    return names


def _range(name: str, text: str) -> Any:
    return Annotated[str | None, typer.Option(name, help=f"{text}: 4, 2..8 or 1,2,4", rich_help_panel="Pin or bound")]


_JOB = "The job"
_PIN = "Pin or bound"
_OUT = "Output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked, as typed."""

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Model name, YAML file, or Hugging Face config.json (file or directory)",
            autocompletion=complete("model"),
        ),
    ]
    gpus: Annotated[
        str, typer.Option("--gpus", "-g", help="Cluster: 8xA100, 16x8xH100, A100-80GB:8, 4xp5.48xlarge, a YAML file")
    ]
    global_batch: Annotated[
        int | None,
        typer.Option(
            "--global-batch", help="Sequences per optimizer step (default: about 4 M tokens)", rich_help_panel=_JOB
        ),
    ] = None
    seq: Annotated[
        int | None,
        typer.Option("--seq", help="Tokens per sequence (default: the context, at most 8192)", rich_help_panel=_JOB),
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", help="bf16 or fp16 (default: bf16 where the accelerator has it)", rich_help_panel=_JOB
        ),
    ] = None
    attention: Annotated[str, typer.Option("--attention", help="flash or unfused", rich_help_panel=_JOB)] = "flash"
    method: Annotated[str, typer.Option("--method", help="full or lora", rich_help_panel=_JOB)] = "full"
    lora_rank: Annotated[int, typer.Option("--lora-rank", help="Rank of LoRA adapters", rich_help_panel=_JOB)] = 16
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="adam, adam-bf16 or adam-8bit", rich_help_panel=_JOB)
    ] = "adam"
    offload: Annotated[str, typer.Option("--offload", help="none or optimizer", rich_help_panel=_JOB)] = "none"
    framework: Annotated[
        str,
        typer.Option("--framework", "-f", help="Preset", autocompletion=complete("framework"), rich_help_panel=_JOB),
    ] = "megatron-core"
    tp: _range("--tp", "Tensor parallel") = None  # type: ignore[valid-type]
    cp: _range("--cp", "Context parallel") = None  # type: ignore[valid-type]
    ep: _range("--ep", "Expert parallel") = None  # type: ignore[valid-type]
    pp: _range("--pp", "Pipeline parallel") = None  # type: ignore[valid-type]
    dp: _range("--dp", "Data parallel") = None  # type: ignore[valid-type]
    v: _range("--v", "Virtual stages per rank") = None  # type: ignore[valid-type]
    micro_batch: _range("--micro-batch", "Sequences per micro-batch (b)") = None  # type: ignore[valid-type]
    zero: _range("--zero", "ZeRO stage") = None  # type: ignore[valid-type]
    sp: _range("--sp", "Sequence parallelism, 0 or 1") = None  # type: ignore[valid-type]
    recompute: Annotated[
        str | None,
        typer.Option("--recompute", help="none, selective, full, block; several with commas", rich_help_panel=_PIN),
    ] = None
    recompute_layers: _range("--recompute-layers", "Layers recomputed per chunk (k)") = None  # type: ignore[valid-type]
    schedule: Annotated[
        str | None,
        typer.Option("--schedule", help="naive, gpipe, 1f1b, interleaved; several with commas", rich_help_panel=_PIN),
    ] = None
    exact: Annotated[bool, typer.Option("--exact", help="Do not relax a job that does not fit")] = False
    strict: Annotated[bool, typer.Option("--strict", help="An ambiguous name is an error, not a default")] = False
    profiles: Annotated[
        Path | None, typer.Option("--profiles", help="Directory of your own profiles (also: PLANNER_PROFILES)")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout", rich_help_panel=_OUT)] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr", rich_help_panel=_OUT)] = False


def takes_request(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command all of Request's options; it receives them as its first argument."""
    hints = get_type_hints(Request, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    own_hints = get_type_hints(function, include_extras=True)
    mine = [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[f.name],
            default=inspect.Parameter.empty if f.name in ("model", "gpus") else f.default,
        )
        for f in fields(Request)
    ]
    extra = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=own_hints[p.name]) for p in own]

    @functools.wraps(function)
    def command(**options: Any) -> None:
        request = Request(**{f.name: options.pop(f.name) for f in fields(Request)})
        function(request, **options)

    command.__signature__ = inspect.Signature([*mine, *extra])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*mine, *extra)}
    del command.__wrapped__
    return command


@dataclass(frozen=True, slots=True)
class Question:
    """A request with its names resolved.

    Attributes:
        assumptions: every default that was used, one sentence each.
    """

    job: Job
    bounds: Bounds
    assumptions: tuple[str, ...]


def resolve(request: Request) -> Question:
    """Look up the names, fill in the defaults and check the counts.

    Raises:
        PlannerError: whatever is wrong with the request.
    """
    from planner.catalog.clusters import find_cluster
    from planner.catalog.library import open_library
    from planner.training.job import Job

    library = open_library(request.profiles, request.strict)
    model, cluster = library.model(request.model), find_cluster(request.gpus, library)
    framework = _framework(library, request.framework)
    workload, defaults = _workload(request, model.value, cluster.value)
    job = Job(model.value, cluster.value, workload, framework.value)
    _check_hardware(job)
    return Question(job, bounds(request), (*model.assumptions, *cluster.assumptions, *framework.assumptions, *defaults))


def _framework(library: Library, name: str) -> Any:
    return library.framework(name)


def _workload(request: Request, model: Model, cluster: Cluster) -> tuple[Any, tuple[str, ...]]:
    from pydantic import ValidationError

    from planner.schema.workload import Workload
    from planner.training.defaults import default_global_batch, default_precision, default_sequence

    notes = []
    seq, batch, precision = request.seq, request.global_batch, request.precision
    for name, value in (("--seq", seq), ("--global-batch", batch), ("--lora-rank", request.lora_rank)):
        if value is not None and not 1 <= value <= 10**9:
            raise PlannerError(f"{name} must be between 1 and 10^9, not {value}")
    if seq is None:
        seq = default_sequence(model)
        notes.append(f"sequence {seq:,} tokens (the model's context, at most 8,192); --seq sets it")
    if batch is None:
        batch = default_global_batch(seq, cluster.gpus)
        notes.append(f"global batch {batch:,} sequences (about 4 M tokens per step); --global-batch sets it")
    chosen: dict[str, Any] = {
        name: getattr(request, name) for name in ("attention", "method", "optimizer", "offload", "lora_rank")
    }
    try:
        workload = Workload(
            seq=seq,
            global_batch=batch,
            precision=precision or default_precision(cluster),
            **chosen,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        option = f"--{str(problem['loc'][0]).replace('_', '-')}"
        raise PlannerError(f"{option} {problem['input']!r}: {problem['msg'].lower()}") from None
    if seq > model.context:
        notes.append(f"{seq:,} tokens exceed the {model.context:,} that {model.name} was published with")
    return workload, tuple(notes)


def _check_hardware(job: Job) -> None:
    """Refuse what the accelerator cannot do."""
    accelerator, precision = job.cluster.accelerator, job.workload.precision
    if getattr(accelerator.peak, precision) is None:
        have = ", ".join(k for k, v in accelerator.peak.model_dump().items() if v)
        raise PlannerError(f"{accelerator.name} has no {precision}", f"it has {have}: --precision")


_RANGE = re.compile(r"(\d*)\.\.(\d*)")
_DIMENSIONS = ("tp", "cp", "ep", "pp", "dp", "v", "zero", "sp", "recompute_layers")


def bounds(request: Request) -> Bounds:
    """The options that pin or bound dimensions."""
    from planner.training.space import Bounds

    given = {name: getattr(request, name) for name in _DIMENSIONS} | {"b": request.micro_batch}
    ranges = {name: parse_range(name, text) for name, text in given.items() if text is not None}
    schedules = _names("--schedule", request.schedule, ("naive", "gpipe", "1f1b", "interleaved"))
    recompute = _names("--recompute", request.recompute, ("none", "selective", "full", "block"))
    return Bounds(ranges, schedules, recompute)


def _names(option: str, text: str | None, known: tuple[str, ...]) -> frozenset[str] | None:
    if text is None:
        return None
    names = [n.strip() for n in text.split(",")]
    for name in names:
        if name not in known:
            raise PlannerError(f"{option} {name!r} is unknown", f"known: {', '.join(known)}")
    return frozenset(names)


def parse_range(name: str, text: str) -> Range:
    """Read "4", "2..8", "..8", "2.." or "1,2,4".

    Raises:
        PlannerError: not whole numbers, or out of what the dimension can be.
    """
    from planner.training.space import Range

    option = {"b": "--micro-batch"}.get(name, "--" + name.replace("_", "-"))
    low, high = {"zero": (0, 3), "sp": (0, 1), "recompute_layers": (0, 10**6)}.get(name, (1, 10**9))
    if match := _RANGE.fullmatch(text.strip()):
        first, last = match[1], match[2]
        values = [int(x) for x in (first, last) if x and len(x) < 12]
        result = Range(int(first or low), int(last) if last else None)
        wrong = (not values) or (len(values) == 2 and values[0] > values[1])
    else:
        parts = [x.strip() for x in text.split(",")]
        values = [int(x) for x in parts if re.fullmatch(r"\d{1,11}", x)]
        wrong = len(values) != len(parts)
        result = Range(values[0], values[0]) if len(values) == 1 else Range(only=frozenset(values))
    if wrong or any(not low <= x <= high for x in values):
        limits = f"whole numbers from {low} to {high}" if high < 10 else f"whole numbers from {low} up"
        raise PlannerError(
            f"{option} {text!r:.40} is not understood", f"{limits}: {option} {max(low, 1)}, 2..8 or 1,2,4"
        )
    return result
