"""The options that describe a problem, the same for every command, and how they become a job and its bounds."""

# no `from __future__ import annotations`: typer reads every one of these, and each would be compiled from its text

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from planner.errors import PlannerError, UnitError
from planner.frozen import frozen
from planner.units import tokens

if TYPE_CHECKING:
    from planner.questions.ask import Question


def complete(kind: str) -> Callable[[str], list[str]]:
    """Shell completion over profile names: reads file names only."""

    def names(incomplete: str) -> list[str]:
        from planner.catalog.library import open_library

        return [name for name in open_library().names(kind) if name.startswith(incomplete)]

    return names


def _range(text: str, forms: str = "4, 2..8 or 1,2,4") -> Any:
    return asks("Pin or bound", says=f"{text}: {forms}")


def asks(panel: str | None, *names: str, says: str, complete: Any = None, **more: Any) -> Any:
    """An option, in a panel of the help, by its names; `more` are typer's own words."""
    return typer.Option(*names, help=says, rich_help_panel=panel, autocompletion=complete, **more)


def within(option: str, number: int, most: int = 1000, least: int = 1) -> int:
    """The number.

    Raises:
        PlannerError: it is not between the two.
    """
    if not least <= number <= most:
        raise PlannerError(f"{option} must be between {least} and {most}, not {number}")
    return number


def length(name: str, text: str, panel: str) -> Any:
    """An option that counts tokens."""

    def read(text: str) -> int:
        try:
            return tokens(text)
        except UnitError as error:
            raise UnitError(f"{name}: {error}", error.hint) from None

    return typer.Option(name, help=text, parser=read, metavar="TOKENS", rich_help_panel=panel)


_JOB = "The job"
_KERNELS = "flash (the framework's own), flash1, flash2, flash3, flash4, cudnn, triton, ck, unfused or eager"
_PRECISION = "Recipe of number formats: bf16, fp16, fp8, mxfp8 ... (default: bf16 where the accelerator has it)"
_CP_COMM = "p2p (ring), a2a, a2a+p2p or allgather (default: the framework's fastest)"
_LOSS = "eager, fused, chunked, vocab-parallel or linear (Liger, cut cross-entropy; default: the framework's)"
_IMBALANCE = "Tokens of the fullest rank of experts over their mean (default: 1)"
_PRESET = "Preset (default: megatron-core)"
_PIN = "Pin or bound"
_OUT = "Output"


def _job(says: str, *names: str, **more: Any) -> Any:
    """An option of the job, called as its field unless it has other names."""
    return asks(_JOB, *names, says=says, **more)


@frozen
class Request:
    """What the user asked, as typed."""

    model: Annotated[
        str,
        asks(
            None,
            "--model",
            "-m",
            says="Model name, YAML file, or Hugging Face config.json (file or directory)",
            complete=complete("model"),
        ),
    ]
    gpus: Annotated[
        str, asks(None, "--gpus", "-g", says="Cluster: 8xA100, 16x8xH100, A100-80GB:8, 4xp5.48xlarge, a YAML file")
    ]
    network: Annotated[
        str | None, asks(None, says="Another network than the node's: 100GbE, 8x200GbE, NDR, RoCE, efa-v2")
    ] = None
    global_batch: Annotated[int | None, _job("Sequences per optimizer step (default: about 4 M tokens)")] = None
    batch_tokens: Annotated[
        int | None, length("--batch-tokens", "Tokens per optimizer step, instead: 4M is 4,194,304", _JOB)
    ] = None
    gradient_accumulation_steps: Annotated[
        int | None, typer.Option("--gradient-accumulation-steps", hidden=True, rich_help_panel=_JOB)
    ] = None
    seq: Annotated[
        int | None, length("--seq", "Tokens per sequence: 4096, 32k (default: the context, at most 8192)", _JOB)
    ] = None
    precision: Annotated[str | None, _job(_PRECISION, complete=complete("recipe"))] = None
    fp8_param_gather: Annotated[
        bool, _job("Weights are kept and gathered in the products' format", "--fp8-param-gather")
    ] = False
    bf16_first: Annotated[int, _job("First layers whose products stay in 16 bit")] = 0
    bf16_last: Annotated[int, _job("Last layers whose products stay in 16 bit")] = 0
    attention: Annotated[str, _job(_KERNELS)] = "flash"
    method: Annotated[str, _job("full, lora or qlora")] = "full"
    lora_rank: Annotated[int | None, _job("Rank of LoRA adapters (default: 16)")] = None
    lora_targets: Annotated[str | None, _job("Layers with adapters: all-linear, attention, mlp, no-experts")] = None
    base: Annotated[str | None, _job("Frozen weights under qlora: nf4, int4 or int8")] = None
    quantize_experts: Annotated[
        bool, _job("Experts in one tensor are narrow under qlora, too", "--quantize-experts")
    ] = False
    optimizer: Annotated[str, _job("adam, adam-bf16, adam-8bit, adam-paged, adafactor, muon, sgd ...")] = "adam"
    images: Annotated[int, _job("Images of every sequence, for a vision tower")] = 0
    image_size: Annotated[int | None, _job("Pixels of an image's sides (default: the tower's own, or 1024)")] = None
    tower: Annotated[str, _job("Vision tower: trained, projector (that alone is), frozen or absent")] = "trained"
    offload: Annotated[str, _job("none, optimizer, parameters or activations")] = "none"
    offload_layers: Annotated[int, _job("Layers of a rank that offload activations; 0: all")] = 0
    offload_modules: Annotated[str | None, _job("Modules whose inputs are offloaded: core_attn, moe_act ...")] = None
    cp_comm: Annotated[str | None, _job(_CP_COMM)] = None
    loss: Annotated[str | None, _job(_LOSS)] = None
    cuda_graphs: Annotated[str, _job("none, partial or full (a whole iteration)")] = "none"
    imbalance: Annotated[float | None, _job(_IMBALANCE)] = None
    capacity_factor: Annotated[float | None, _job("Tokens that every expert takes, padded (default: all)")] = None
    margin: Annotated[str, _job("Share of memory that must stay free: 8%")] = "0%"
    strict_fit: Annotated[bool, _job("A plan whose limit lies inside its band does not fit", "--strict-fit")] = False
    framework: Annotated[
        str, _job(_PRESET, "--framework", "-f", complete=complete("framework"), show_default=False)
    ] = ""
    tp: Annotated[str | None, _range("Tensor parallel")] = None
    cp: Annotated[str | None, _range("Context parallel")] = None
    ep: Annotated[str | None, _range("Expert parallel")] = None
    etp: Annotated[str | None, _range("Expert tensor parallel")] = None
    pp: Annotated[str | None, _range("Pipeline parallel")] = None
    dp: Annotated[str | None, _range("Data parallel")] = None
    dp_replicate: Annotated[str | None, _range("Copies of the sharded states, of dp (HSDP)")] = None
    v: Annotated[str | None, _range("Virtual stages per rank")] = None
    micro_batch: Annotated[str | None, _range("Sequences per micro-batch (b)")] = None
    zero: Annotated[str | None, _range("ZeRO stage", "0 to 3, 1..2 or 1,3")] = None
    sp: Annotated[str | None, _range("Sequence parallelism", "0 or 1")] = None
    head: Annotated[str | None, _range("Layers that the LM head counts for")] = None
    recompute: Annotated[str | None, asks(_PIN, says="none, selective, full, block; several with commas")] = None
    recompute_modules: Annotated[
        str | None,
        asks(
            _PIN, says="What selective recomputes: core_attn, mla_up_proj, layernorm, moe_act, mlp, moe, shared_experts"
        ),
    ] = None
    recompute_layers: Annotated[str | None, _range("Layers recomputed per chunk (k)")] = None
    schedule: Annotated[str | None, asks(_PIN, says="naive, gpipe, 1f1b, interleaved ...; several with commas")] = None
    dispatcher: Annotated[str | None, asks(_PIN, says="alltoall, allgather, deepep, hybridep; several with commas")] = (
        None
    )
    expert_overlap: Annotated[str | None, _range("Expert traffic beside another micro-batch", "0 or 1")] = None
    exact: Annotated[bool, asks(None, "--exact", says="Do not relax a job that does not fit")] = False
    strict: Annotated[bool, typer.Option("--strict", help="An ambiguous name is an error, not a default")] = False
    profiles: Annotated[
        Path | None, typer.Option("--profiles", help="Directory of your own profiles (also: PLANNER_PROFILES)")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout", rich_help_panel=_OUT)] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr", rich_help_panel=_OUT)] = False


def takes_request(function: Callable[..., None], of: Any = Request, **instead: Any) -> Callable[..., None]:
    """Give a command all of Request's options, or those of another record; it receives them as its first argument.

    `instead` declares some of them anew, by field name; a required one becomes optional by that, and "" when absent.
    """
    hints = get_type_hints(of, include_extras=True) | instead
    own = list(inspect.signature(function).parameters.values())[1:]
    own_hints = get_type_hints(function, include_extras=True)
    mine = [
        inspect.Parameter(
            f.name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[f.name], default=_default(f, f.name in instead)
        )
        for f in fields(of)
    ]
    extra = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=own_hints[p.name]) for p in own]

    @functools.wraps(function)
    def command(**options: Any) -> None:
        request = of(**{f.name: options.pop(f.name) for f in fields(of)})
        function(request, **options)

    command.__signature__ = inspect.Signature([*mine, *extra])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*mine, *extra)}
    del command.__wrapped__
    return command


def _default(field: Field[Any], declared_anew: bool) -> Any:
    if field.default is not MISSING:
        return field.default
    return "" if declared_anew else inspect.Parameter.empty


def resolve(request: Request) -> "Question":
    """Look up the names, fill in the defaults and check the counts.

    Raises:
        PlannerError: whatever is wrong with the request.
    """
    from planner.questions.ask import ask

    return ask(request.model, request.gpus, **job_options(request))


def job_options(request: Request) -> dict[str, Any]:
    """The options of `planner.ask` beside the model and the cluster."""
    ours = ("model", "gpus", "exact", "as_json", "quiet", "" if request.framework else "framework")
    return {f.name: getattr(request, f.name) for f in fields(Request) if f.name not in ours}
