"""planner size: from money and time, or from a load, to a cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.answers import Html, answered, print_json, written
from planner.cli.request import Request, asks, job_options, length, takes_request
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

_LIMITS, _FAIL, _SERVE, _OUT = "Limits", "Failures", "With --serve", "Output"


_LAYOUT = ("tp", "ep", "pp", "dp")
_SEEN = ("images", "image_size")
_EITHER = ("model", "gpus", "network", *_LAYOUT, *_SEEN, "profiles", "strict", "as_json", "quiet", "framework", "exact")


def size(
    request: Request,
    serve: Annotated[bool, asks(None, "--serve", says="Size a deployment for inference")] = False,
    tokens: Annotated[str | None, asks(_LIMITS, says="Tokens to train on: 2e12, 300B")] = None,
    deadline: Annotated[str | None, asks(_LIMITS, says="Longest time, or a date: 30d, 12h, 2030-01-31")] = None,
    budget: Annotated[str | None, asks(_LIMITS, says="Most US dollars: 3M, 250000")] = None,
    price: Annotated[
        list[str] | None, asks(_LIMITS, says="US dollars per GPU and hour: H100=2.5/h; ranks by money")
    ] = None,
    objective: Annotated[str | None, asks(_LIMITS, says="What counts: fewest (default), cheapest, fastest ...")] = None,
    max_gpus: Annotated[int | None, asks(_LIMITS, says="Most GPUs that are tried (1024; 16384 under limits)")] = None,
    failures: Annotated[str | None, asks(_FAIL, says="How often nodes fail: 4/1000node-days")] = None,
    checkpoint: Annotated[str | None, asks(_FAIL, says="Time to write a checkpoint (60s)")] = None,
    restart: Annotated[str | None, asks(_FAIL, says="Time from a failure to the next step (5min)")] = None,
    repair: Annotated[str | None, asks(_FAIL, says="Time until a failed node is back (7d)")] = None,
    requests: Annotated[str | None, asks(_SERVE, "--requests", "--rate", says="Requests per second: 20/s")] = None,
    input: Annotated[int | None, length("--input", "Prompt tokens of a request", _SERVE)] = None,
    output: Annotated[int | None, length("--output", "Output tokens of a request", _SERVE)] = None,
    prefix: Annotated[int | None, length("--prefix", "Prompt tokens that are cached already", _SERVE)] = None,
    users: Annotated[int | None, asks(_SERVE, says="Requests in flight")] = None,
    ttft: Annotated[str | None, asks(_SERVE, says="Longest time to first token: 1s")] = None,
    tpot: Annotated[str | None, asks(_SERVE, says="Longest time per output token: 30ms")] = None,
    statistic: Annotated[str | None, asks(_SERVE, says="mean (default) or p99, of both levels")] = None,
    weights: Annotated[str | None, asks(_SERVE, says="Weights: bf16, fp8, w8a8, int8, int4 ...")] = None,
    kv: Annotated[str | None, asks(_SERVE, says="KV cache: bf16, fp8 ...")] = None,
    engine: Annotated[str | None, asks(_SERVE, "--engine", "-e", says="Preset (default: vllm)")] = None,
    only: Annotated[
        str | None, asks(_OUT, "--fields", says="Only these fields of the answer: nodes,gpus,instance")
    ] = None,
    html: Html = None,
) -> None:
    """Fewest, cheapest and fastest cluster for a training run, or with --serve the smallest for a load.

    Without --tokens: the fewest GPUs that run the job at all, as asked. Prices rank only where --price, --budget or
    --objective cheapest ask for it.
    """
    if not request.model:
        raise PlannerError("--model is missing", "planner size --model llama70b --gpu H100")
    if not request.gpus:
        raise PlannerError("--gpu is missing", "--gpu H100 or --gpu A100-80GB,H100,p5.48xlarge")
    limits = {"price": price or (), "objective": objective, "max_gpus": max_gpus}
    timing = {"tokens": tokens, "deadline": deadline, "budget": budget, "failures": failures}
    timing |= {"checkpoint": checkpoint, "restart": restart, "repair": repair}
    load = {"rate": requests, "input": input, "output": output, "users": users, "ttft": ttft, "tpot": tpot}
    load |= {"prefix": prefix, "weights": weights, "kv": kv, "statistic": statistic, "engine": engine}
    if serve:
        _refuse(timing | _training(request), "is about training, and --serve about inference")
        _answer_load(request, limits | {n: v for n, v in load.items() if v is not None}, only, html)
    else:
        _refuse(load, "is about inference, which --serve asks of")
        _answer(request, limits | timing, only, html)


def _training(request: Request) -> dict[str, Any]:
    """Options of a training job that are set."""
    plain = Request(model="", gpus="")
    names = [f.name for f in fields(Request) if f.name not in _EITHER]
    return {n: getattr(request, n) for n in names if getattr(request, n) != getattr(plain, n)}


def _refuse(options: dict[str, Any], why: str) -> None:
    """Stop at the first option that is set."""
    for name, value in options.items():
        if value is not None:
            flag = "--requests" if name == "rate" else "--" + name.replace("_", "-")
            raise PlannerError(f"{flag} {why}", f"leave out {flag}, or ask the other question")


def _answer(request: Request, asked: dict[str, Any], only: str | None, html: Path | None) -> None:
    from planner.cli.screen import notes, progress
    from planner.questions.size import ask_size
    from planner.questions.size import size as search
    from planner.report.sizing import sizes
    from planner.report.sizing_json import point, size

    question = ask_size(request.model, request.gpus, **asked, **job_options(request))
    notes(question.assumptions, request.quiet)
    with progress(request.quiet):
        found = search(question)
    head = None if found.answer is None else point(found.answer)
    _show(request, head, only, html, lambda: size(found), lambda width: sizes(found, sys.argv[1:], width))


def _answer_load(request: Request, asked: dict[str, Any], only: str | None, html: Path | None) -> None:
    from planner.cli.screen import notes, progress
    from planner.questions.size_serving import ask_load, size_load
    from planner.report.sizing_serving import deployment, load, loads

    job = {name: getattr(request, name) for name in ("network", *_LAYOUT, *_SEEN, "profiles", "strict")}
    question = ask_load(request.model, request.gpus, **asked, **job)
    notes(question.assumptions, request.quiet)
    with progress(request.quiet):
        found = size_load(question)
    head = None if found.answer is None else deployment(found.answer)
    _show(request, head, only, html, lambda: load(found), partial(loads, found))


def _show(
    request: Request,
    head: Mapping[str, Any] | None,
    only: str | None,
    html: Path | None,
    whole: Callable[[], Mapping[str, Any]],
    lines: Callable[[int | None], Iterator[str]],
) -> None:
    """Fields of the answer alone, or all of it; the exit code says whether there is an answer."""
    if html is not None:
        written(html, whole(), request.quiet)
    if only is not None:
        _fields(only, head, request.as_json)
    else:
        answered(whole, lines, request.as_json)
    raise typer.Exit(EXIT_NOTHING_FITS if head is None else EXIT_FITS)


def _fields(text: str, answer: Mapping[str, Any] | None, as_json: bool) -> None:
    """Some fields of the answer: an object, or their values on one line with tabs between them."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise PlannerError("--fields names no field", "--fields nodes,gpus,instance")
    for name in names:
        if answer is not None and name not in answer:
            raise PlannerError(f"--fields {name!r:.40} is no field of the answer", f"known: {', '.join(answer)}")
    chosen = {name: None if answer is None else answer[name] for name in names}
    if as_json:
        print_json(chosen)
    elif answer is not None:
        sys.stdout.write("\t".join("" if v is None else str(v) for v in chosen.values()) + "\n")


_GPU = "Acceptable GPUs or instance types: A100-80GB,H100,p5.48xlarge"
_gpu = asks(None, "--gpu", "--gpus", "-g", says=_GPU, show_default=False)
_exact = asks(None, "--exact", says="What size always does: nothing is relaxed", hidden=True)
_model = asks(None, "--model", "-m", says="Model, as for recommend", show_default=False)

command = takes_request(size, model=Annotated[str, _model], gpus=Annotated[str, _gpu], exact=Annotated[bool, _exact])
"""What `planner size` runs."""
