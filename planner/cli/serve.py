"""planner serve: rank the deployments of a model for inference."""

# no `from __future__ import annotations`: typer reads every one of these, and each would be compiled from its text

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.answers import Html, answered, written
from planner.cli.request import asks, complete, length, takes_request, within
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

if TYPE_CHECKING:
    from planner.questions.serve import ServeAnswer


_LOAD, _LEVELS, _PIN, _OUT = "Requests", "Service levels", "Pin or bound", "Output"
_MODEL = "Model name, YAML file, or Hugging Face config.json (file or directory)"
_NETWORK = "Another network than the node's: 100GbE, 8x200GbE, NDR, RoCE, efa-v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """The question as typed: arguments of `planner.questions.serve.ask_serve`."""

    model: Annotated[str, asks(None, "--model", "-m", says=_MODEL, complete=complete("model"))]
    gpus: Annotated[str, asks(None, "--gpus", "-g", says="Cluster: 8xH100, 2x8xH200, 4xp5.48xlarge, a YAML file")]
    network: Annotated[str | None, asks(None, says=_NETWORK)] = None
    input: Annotated[int | None, length("--input", "Prompt tokens of a request (ISL)", _LOAD)] = None
    output: Annotated[int | None, length("--output", "Output tokens of a request (OSL)", _LOAD)] = None
    prefix: Annotated[int | None, length("--prefix", "Prompt tokens that are cached already", _LOAD)] = None
    images: Annotated[int | None, asks(_LOAD, says="Images of every prompt, whose tokens are among it", min=0)] = None
    image_size: Annotated[int | None, asks(_LOAD, says="Pixels of an image's sides (default: 1024)", min=1)] = None
    users: Annotated[int | None, asks(_LOAD, says="Requests in flight (closed loop)")] = None
    batch: Annotated[int | None, asks(_LOAD, says="Requests that must run at once")] = None
    rate: Annotated[str | None, asks(_LOAD, says="Requests per second (Poisson arrivals)")] = None
    weights: Annotated[str | None, asks(_LOAD, says="Weights: bf16, fp16, fp8, w8a8, int8, int4, nvfp4, mxfp4")] = None
    kv: Annotated[str | None, asks(_LOAD, says="KV cache in bf16, fp16, fp8 or nvfp4")] = None
    engine: Annotated[str, asks(_LOAD, "--engine", "-e", says="Preset", complete=complete("engine"))] = "vllm"
    ttft: Annotated[str | None, asks(_LEVELS, says="Longest time to first token: 1s")] = None
    tpot: Annotated[str | None, asks(_LEVELS, says="Longest time per output token: 30ms")] = None
    statistic: Annotated[str, asks(_LEVELS, says="mean or p99, of both levels")] = "mean"
    objective: Annotated[
        str | None, asks(None, says="What counts: throughput (default), latency, offline, fewest ...")
    ] = None
    tp: Annotated[str | None, asks(_PIN, says="Tensor parallel: 4, 2..8 or 1,2,4")] = None
    ep: Annotated[str | None, asks(_PIN, says="Expert parallel: 4, 2..8 or 1,2,4")] = None
    pp: Annotated[str | None, asks(_PIN, says="Pipeline parallel: 4, 2..8 or 1,2,4")] = None
    dp: Annotated[str | None, asks(_PIN, says="Replicas: 4, 2..8 or 1,2,4")] = None
    prefill: Annotated[
        str | None, asks(_PIN, says='Pools: degrees of a prefill instance, "tp=2 pp=1", dp instances')
    ] = None
    decode: Annotated[str | None, asks(_PIN, says='Pools: degrees of a decode instance, "tp=8 ep=8 dp=1"')] = None
    strict: Annotated[bool, asks(None, "--strict", says="An ambiguous name is an error, not a default")] = False
    profiles: Annotated[Path | None, asks(None, says="Directory of your own profiles (also: PLANNER_PROFILES)")] = None


def serve(
    request: ServeRequest,
    top: Annotated[int, asks(_OUT, says="How many layouts to show")] = 10,
    launch: Annotated[bool, asks(_OUT, "--launch", says="Commands that start and measure it (bash)")] = False,
    explain: Annotated[bool, asks(_OUT, "--explain", says="Every number of one deployment with its formula")] = False,
    plan: Annotated[int | None, asks(_OUT, says="Which deployment --launch or --explain is about (default: 1)")] = None,
    out: Annotated[Path | None, asks(_OUT, "--out", "-o", says="Directory for --launch to write files to")] = None,
    html: Html = None,
    as_json: Annotated[bool, asks(_OUT, "--json", says="JSON on stdout")] = False,
    quiet: Annotated[bool, asks(_OUT, "--quiet", "-q", says="No notes on stderr")] = False,
) -> None:
    """Rank all deployments of a model on a cluster: time to first token, time per token, tokens per second and GPU.

    Without a load (--users, --batch or --rate) every layout is shown at the load that serves the objective best.
    With --launch the answer is a script instead: flags of vLLM, SGLang or TensorRT-LLM, and a benchmark to check it.
    With --explain it is every number of one deployment, with its formula; so says `planner explain --serve ...`, too.
    """
    within("--top", top)
    from planner.cli.screen import notes, progress
    from planner.cli.serve_launch import check_options
    from planner.cli.serve_launch import launch as write
    from planner.questions.serve import answer, ask_serve

    check_options(launch, explain, plan, out, as_json)
    question = ask_serve(**{f.name: getattr(request, f.name) for f in fields(ServeRequest)})
    notes(question.assumptions, quiet)
    with progress(quiet):
        found = answer(question)
    _draw(found, top, html, quiet)
    if launch:
        write(found, plan or 1, out, quiet)
    elif explain:
        _explain(found, plan or 1, as_json)
    else:
        _show(found, top, as_json)
    raise typer.Exit(EXIT_FITS if found.choice.ranked else EXIT_NOTHING_FITS)


command = takes_request(serve, ServeRequest)
"""What `planner serve` runs."""


def _draw(found: "ServeAnswer", top: int, html: Path | None, quiet: bool) -> None:
    """The page of the answer, where one is asked for."""
    if html is not None:
        from planner.report.page_extras import of_deployment
        from planner.report.serving_json import serving

        written(html, serving(found, found.question.assumptions, top), quiet, **of_deployment(found))


def _explain(found: "ServeAnswer", number: int, as_json: bool) -> None:
    """Deployment `number` of the ranking, or of those that fail, nearest first."""
    from planner.report.explain_serving import document, explanation, text

    question = found.question
    shown = found.choice.ranked or tuple(miss.option for miss in found.choice.rejected)
    if number > len(shown):
        raise PlannerError(f"there are {len(shown)} deployments, no number {number}", "planner serve shows them")
    job, option = question.job, shown[number - 1]
    lines = explanation(job, option, question.objective)
    answered(lambda: document(job, option, number, lines), partial(text, job, option, lines), as_json)


def _show(found: "ServeAnswer", top: int, as_json: bool) -> None:
    from planner.report.serving import deployments
    from planner.report.serving_json import serving

    answered(lambda: serving(found, found.question.assumptions, top), partial(deployments, found, top), as_json)
