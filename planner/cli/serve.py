"""planner serve: rank the deployments of a model for inference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.htmlfile import Html
from planner.cli.request import complete, length
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

if TYPE_CHECKING:
    from planner.questions.serve import ServeAnswer

_LOAD, _LEVELS, _PIN, _OUT = "Requests", "Service levels", "Pin or bound", "Output"


def _option(name: str, text: str, panel: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=panel)


_Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Model name, YAML file, or Hugging Face config.json (file or directory)",
        autocompletion=complete("model"),
    ),
]
_Gpus = Annotated[str, typer.Option("--gpus", "-g", help="Cluster: 8xH100, 2x8xH200, 4xp5.48xlarge, a YAML file")]
_Network = Annotated[
    str | None, typer.Option("--network", help="Another network than the node's: 100GbE, 8x200GbE, NDR, RoCE, efa-v2")
]
_Input = Annotated[int | None, length("--input", "Prompt tokens of a request (ISL)", _LOAD)]
_Output = Annotated[int | None, length("--output", "Output tokens of a request (OSL)", _LOAD)]
_Prefix = Annotated[int, typer.Option("--prefix", help="Prompt tokens that are cached already", rich_help_panel=_LOAD)]
_Users = Annotated[int | None, _option("--users", "Requests in flight (closed loop)", _LOAD)]
_Batch = Annotated[int | None, _option("--batch", "Requests that must run at once", _LOAD)]
_Rate = Annotated[str | None, _option("--rate", "Requests per second (Poisson arrivals)", _LOAD)]
_Weights = Annotated[str | None, _option("--weights", "Weights: bf16, fp16, fp8, int8, int4, nvfp4 or mxfp4", _LOAD)]
_Kv = Annotated[str | None, _option("--kv", "KV cache in bf16, fp16, fp8 or nvfp4", _LOAD)]
_Engine = Annotated[
    str, typer.Option("--engine", "-e", help="Preset", autocompletion=complete("engine"), rich_help_panel=_LOAD)
]
_Ttft = Annotated[str | None, _option("--ttft", "Longest time to first token: 1s", _LEVELS)]
_Tpot = Annotated[str | None, _option("--tpot", "Longest time per output token: 30ms", _LEVELS)]
_Statistic = Annotated[str, typer.Option("--statistic", help="mean or p99, of both levels", rich_help_panel=_LEVELS)]
_Objective = Annotated[str | None, typer.Option("--objective", help="throughput (default), latency, offline or fewest")]
_Tp = Annotated[str | None, _option("--tp", "Tensor parallel: 4, 2..8 or 1,2,4", _PIN)]
_Ep = Annotated[str | None, _option("--ep", "Expert parallel: 4, 2..8 or 1,2,4", _PIN)]
_Pp = Annotated[str | None, _option("--pp", "Pipeline parallel: 4, 2..8 or 1,2,4", _PIN)]
_Dp = Annotated[str | None, _option("--dp", "Replicas: 4, 2..8 or 1,2,4", _PIN)]
_Prefill = Annotated[
    str | None, _option("--prefill", 'Pools: degrees of a prefill instance, "tp=2 pp=1", dp instances', _PIN)
]
_Decode = Annotated[str | None, _option("--decode", 'Pools: degrees of a decode instance, "tp=8 ep=8 dp=1"', _PIN)]
_Strict = Annotated[bool, typer.Option("--strict", help="An ambiguous name is an error, not a default")]
_Profiles = Annotated[
    Path | None, typer.Option("--profiles", help="Directory of your own profiles (also: PLANNER_PROFILES)")
]
_Top = Annotated[int, typer.Option("--top", help="How many layouts to show", rich_help_panel=_OUT)]
_Json = Annotated[bool, typer.Option("--json", help="JSON on stdout", rich_help_panel=_OUT)]
_Launch = Annotated[
    bool, typer.Option("--launch", help="Commands that start and measure it (bash)", rich_help_panel=_OUT)
]
_Explain = Annotated[
    bool, typer.Option("--explain", help="Every number of one deployment with its formula", rich_help_panel=_OUT)
]
_Plan = Annotated[int | None, _option("--plan", "Which deployment --launch or --explain is about (default: 1)", _OUT)]
_OutDir = Annotated[
    Path | None, typer.Option("--out", "-o", help="Directory for --launch to write files to", rich_help_panel=_OUT)
]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr", rich_help_panel=_OUT)]


def serve(
    model: _Model,
    gpus: _Gpus,
    network: _Network = None,
    input: _Input = None,
    output: _Output = None,
    prefix: _Prefix = 0,
    users: _Users = None,
    batch: _Batch = None,
    rate: _Rate = None,
    weights: _Weights = None,
    kv: _Kv = None,
    engine: _Engine = "vllm",
    ttft: _Ttft = None,
    tpot: _Tpot = None,
    statistic: _Statistic = "mean",
    objective: _Objective = None,
    tp: _Tp = None,
    ep: _Ep = None,
    pp: _Pp = None,
    dp: _Dp = None,
    prefill: _Prefill = None,
    decode: _Decode = None,
    strict: _Strict = False,
    profiles: _Profiles = None,
    top: _Top = 10,
    launch: _Launch = False,
    explain: _Explain = False,
    plan: _Plan = None,
    out: _OutDir = None,
    html: Html = None,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Rank all deployments of a model on a cluster: time to first token, time per token, tokens per second and GPU.

    Without a load (--users, --batch or --rate) every layout is shown at the load that serves the objective best.
    With --launch the answer is a script instead: flags of vLLM, SGLang or TensorRT-LLM, and a benchmark to check it.
    With --explain it is every number of one deployment, with its formula; so says `planner explain --serve ...`, too.
    """
    if not 1 <= top <= 1000:
        raise PlannerError(f"--top must be between 1 and 1000, not {top}")
    from planner.cli.serve_launch import check_options
    from planner.cli.serve_launch import launch as write

    check_options(launch, explain, plan, out, as_json)
    asked: dict[str, Any] = {"network": network, "input": input, "output": output, "prefix": prefix}
    asked |= {"weights": weights, "kv": kv}
    asked |= {"users": users, "batch": batch, "rate": rate, "ttft": ttft, "tpot": tpot, "statistic": statistic}
    asked |= {"engine": engine, "objective": objective, "profiles": profiles, "strict": strict}
    asked |= {"tp": tp, "ep": ep, "pp": pp, "dp": dp, "prefill": prefill, "decode": decode}
    found = _answer(model, gpus, asked, quiet)
    _draw(found, top, html, quiet)
    if launch:
        write(found, plan or 1, out, quiet)
    elif explain:
        _explained(found, plan or 1, as_json)
    else:
        _show(found, top, as_json)
    raise typer.Exit(EXIT_FITS if found.choice.ranked else EXIT_NOTHING_FITS)


def _answer(model: str, gpus: str, asked: dict[str, Any], quiet: bool) -> ServeAnswer:
    from planner.cli.screen import notes
    from planner.questions.serve import answer, ask_serve

    question = ask_serve(model, gpus, **asked)
    notes(question.assumptions, quiet)
    return answer(question)


def _draw(found: ServeAnswer, top: int, html: Path | None, quiet: bool) -> None:
    """The page of the answer, where one is asked for."""
    if html is not None:
        from planner.cli.htmlfile import written
        from planner.report.serving_json import serving

        written(html, serving(found, found.question.assumptions, top), quiet)


def _explained(found: ServeAnswer, number: int, as_json: bool) -> None:
    """Deployment `number` of the ranking, or of those that fail, nearest first."""
    from planner.report.explain_serving import document, explanation, text

    question = found.question
    shown = found.choice.ranked or tuple(miss.option for miss in found.choice.rejected)
    if number > len(shown):
        raise PlannerError(f"there are {len(shown)} deployments, no number {number}", "planner serve shows them")
    job, option = question.job, shown[number - 1]
    lines = explanation(job, option, question.objective)
    if as_json:
        from planner.report.jsonout import write

        sys.stdout.write(write(document(job, option, number, lines)))
    else:
        from planner.cli.screen import show, width

        show(text(job, option, lines, width()))


def _show(found: ServeAnswer, top: int, as_json: bool) -> None:
    if as_json:
        from planner.report.jsonout import write
        from planner.report.serving_json import serving

        sys.stdout.write(write(serving(found, found.question.assumptions, top)))
    else:
        from planner.cli.screen import show, width
        from planner.report.serving import deployments

        show(deployments(found, top, width()))
