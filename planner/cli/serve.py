"""planner serve: rank the deployments of a model for inference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.request import complete
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

_LOAD, _LEVELS, _PIN, _OUT = "Requests", "Service levels", "Pin or bound", "Output"


def _range(name: str, text: str) -> Any:
    return Annotated[str | None, typer.Option(name, help=f"{text}: 4, 2..8 or 1,2,4", rich_help_panel=_PIN)]


def serve(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Model name, YAML file, or Hugging Face config.json (file or directory)",
            autocompletion=complete("model"),
        ),
    ],
    gpus: Annotated[str, typer.Option("--gpus", "-g", help="Cluster: 8xH100, 2x8xH200, 4xp5.48xlarge, a YAML file")],
    input: Annotated[
        int | None, typer.Option("--input", help="Prompt tokens of a request (ISL)", rich_help_panel=_LOAD)
    ] = None,
    output: Annotated[
        int | None, typer.Option("--output", help="Output tokens of a request (OSL)", rich_help_panel=_LOAD)
    ] = None,
    prefix: Annotated[
        int, typer.Option("--prefix", help="Prompt tokens that are cached already", rich_help_panel=_LOAD)
    ] = 0,
    users: Annotated[
        int | None, typer.Option("--users", help="Requests in flight (closed loop)", rich_help_panel=_LOAD)
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Requests that must run at once", rich_help_panel=_LOAD)
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", help="Requests per second (Poisson arrivals)", rich_help_panel=_LOAD)
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", help="bf16, fp16, fp8, int8, int4, nvfp4 or mxfp4 linear layers", rich_help_panel=_LOAD
        ),
    ] = None,
    kv: Annotated[
        str | None, typer.Option("--kv", help="bf16, fp16, fp8 or nvfp4 KV cache", rich_help_panel=_LOAD)
    ] = None,
    engine: Annotated[
        str,
        typer.Option("--engine", "-e", help="Preset", autocompletion=complete("engine"), rich_help_panel=_LOAD),
    ] = "vllm",
    ttft: Annotated[
        str | None, typer.Option("--ttft", help="Longest time to first token: 1s", rich_help_panel=_LEVELS)
    ] = None,
    tpot: Annotated[
        str | None, typer.Option("--tpot", help="Longest time per output token: 30ms", rich_help_panel=_LEVELS)
    ] = None,
    statistic: Annotated[
        str, typer.Option("--statistic", help="mean or p99, of both levels", rich_help_panel=_LEVELS)
    ] = "mean",
    objective: Annotated[
        str | None, typer.Option("--objective", help="throughput (default), latency, offline or fewest")
    ] = None,
    tp: _range("--tp", "Tensor parallel") = None,  # type: ignore[valid-type]
    ep: _range("--ep", "Expert parallel") = None,  # type: ignore[valid-type]
    pp: _range("--pp", "Pipeline parallel") = None,  # type: ignore[valid-type]
    dp: _range("--dp", "Replicas") = None,  # type: ignore[valid-type]
    strict: Annotated[bool, typer.Option("--strict", help="An ambiguous name is an error, not a default")] = False,
    profiles: Annotated[
        Path | None, typer.Option("--profiles", help="Directory of your own profiles (also: PLANNER_PROFILES)")
    ] = None,
    top: Annotated[int, typer.Option("--top", help="How many layouts to show", rich_help_panel=_OUT)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout", rich_help_panel=_OUT)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr", rich_help_panel=_OUT)] = False,
) -> None:
    """Rank all deployments of a model on a cluster: time to first token, time per token, tokens per second and GPU.

    Without a load (--users, --batch or --rate) every layout is shown at the load that serves the objective best.
    """
    if not 1 <= top <= 1000:
        raise PlannerError(f"--top must be between 1 and 1000, not {top}")
    asked: dict[str, Any] = {
        "input": input,
        "output": output,
        "prefix": prefix,
        "weights": weights,
        "kv": kv,
        "engine": engine,
    }
    asked |= {"users": users, "batch": batch, "rate": rate, "ttft": ttft, "tpot": tpot, "statistic": statistic}
    asked |= {"engine": engine, "objective": objective, "profiles": profiles, "strict": strict}
    asked |= {"tp": tp, "ep": ep, "pp": pp, "dp": dp}
    _answer(model, gpus, asked, top, as_json, quiet)


def _answer(model: str, gpus: str, asked: dict[str, Any], top: int, as_json: bool, quiet: bool) -> None:
    from planner.cli.screen import console, notes
    from planner.serve import answer, ask_serve

    question = ask_serve(model, gpus, **asked)
    notes(question.assumptions, quiet)
    found = answer(question)
    if as_json:
        from planner.report.jsonout import write
        from planner.report.serving_json import serving

        sys.stdout.write(write(serving(found, question.assumptions, top)))
    else:
        from planner.report.serving import deployments

        deployments(console(), found, top)
    raise typer.Exit(EXIT_FITS if found.choice.ranked else EXIT_NOTHING_FITS)
