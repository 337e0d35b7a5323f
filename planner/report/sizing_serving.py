"""Deployments sized for a load, on a terminal and as versioned JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from planner import __version__
from planner.catalog.fabric import on_network
from planner.frozen import picked
from planner.questions.serve_checks import among
from planner.questions.size_serving import LoadAnswer
from planner.report.grid import columns, tables
from planner.report.jsonout import inputs_of
from planner.report.serving_json import deployed
from planner.report.serving_json import load as asked
from planner.report.serving_words import formats, rejected
from planner.report.sizing_json import held, price
from planner.report.sizing_words import price_words, usd
from planner.sizing.money import instances
from planner.sizing.serving import Served
from planner.units import format_seconds

if TYPE_CHECKING:
    from planner.documents import sizing as form


def loads(answer: LoadAnswer, width: int | None) -> Iterator[str]:
    """Header, a row per GPU, price and next step."""
    yield from (*header(answer), "")
    able = [s for s in answer.found if s.option is not None]
    if able:
        yield from (*tables(COLUMNS, [[_cells(s, answer) for s in able]], width), "")
    for s in answer.found:
        if s.option is None:
            yield f"Not      {s.kind.name}, up to {s.gpus:,} GPUs: {_why_not(s)}"
    head = answer.answer
    if head is None:
        return
    if head.bill is not None:
        yield f"Price    {price_words(head.bill)}."
    yield f"Next     planner serve {' '.join(_same(head))}"


def header(answer: LoadAnswer) -> list[str]:
    """What was asked, with every default filled in."""
    job = answer.question.kinds[0].question.job
    w = job.workload
    load = f"{w.rate:g} requests/s" if w.rate is not None else f"{w.users:,} requests in flight"
    cached = f" ({w.prefix:,} of them cached)" if w.prefix else ""
    levels = [f"{name.upper()} ≤ {format_seconds(x)}" for name in ("ttft", "tpot") if (x := getattr(w, name))]
    return [
        f"{job.model.name} · serving, {formats(job)} weights, {w.kv} KV cache · {job.engine.name}",
        " · ".join(
            [
                f"{load} of {w.input:,}{among(job)}{cached} + {w.output:,} tokens",
                *levels,
                *([w.statistic] if levels else []),
                f"{', '.join(k.name for k in answer.question.kinds)} up to {answer.question.most:,}",
                f"{answer.seconds:.2f} s",
            ]
        ),
    ]


COLUMNS = columns("<|GPUs|$/h|$/M tokens out:1|tokens/s out:2|TTFT|TPOT|layout<")
"""What is said of the smallest deployment on a GPU."""


def _cells(s: Served, answer: LoadAnswer) -> list[str]:
    o = s.option
    assert o is not None
    mark = " *" if s is answer.answer else ""
    money = ["?", "?"] if s.bill is None else [usd(s.bill.usd_per_hour), usd(s.usd_per_million or 0.0)]
    times = [format_seconds(float(o.ttft)), format_seconds(float(o.tpot))]
    return [s.kind.name + mark, f"{s.gpus:,}", *money, f"{s.tokens_per_second:,.0f}", *times, _layout(s)]


def _layout(s: Served) -> str:
    """Replicas and their degrees."""
    assert s.option is not None
    p = s.option.plan
    ep = f" ep={int(p.ep)}" if p.ep > 1 else ""
    return f"{int(p.dp)} × (tp={int(p.tp)}{ep} pp={int(p.pp)})"


def _why_not(s: Served) -> str:
    """What the nearest layout breaks."""
    return rejected(s.kind.question.job, s.rejected[0]) if s.rejected else "no layout is legal"


def _same(s: Served) -> list[str]:
    """The options of `planner serve` for the deployment."""
    job = s.kind.question.job
    w = job.workload
    gpus = f"{s.nodes}x{job.cluster.node.name}" if s.kind.whole or s.nodes > 1 else f"{s.gpus}x{s.kind.name}"
    gpus = on_network(gpus, job.cluster.fabric)
    load = ["--rate", f"{w.rate:g}"] if w.rate is not None else ["--users", str(w.users)]
    levels = [f"--{name} {1e3 * x:g}ms" for name in ("ttft", "tpot") if (x := getattr(w, name))]
    return [
        *("--model", job.model.name, "--gpus", gpus, "--input", str(w.input), "--output", str(w.output)),
        *(["--prefix", str(w.prefix)] if w.prefix else []),
        *(["--images", str(w.images), "--image-size", str(w.image_size)] if w.images else []),
        *load,
        *levels,
        *(["--weights", w.weights] if job.model.checkpoint or w.weights not in ("bf16", "fp16") else []),
        *(["--kv", w.kv] if w.kv not in ("bf16", "fp16") else []),
        *(["--engine", job.engine.name] if job.engine.name != "vllm" else []),
        *(["--statistic", w.statistic] if w.statistic != "mean" else []),
        "--objective fewest",
    ]


def load(answer: LoadAnswer) -> form.SizeServing:
    """The whole answer."""
    q, first = answer.question, answer.question.kinds[0].question
    return {
        "schema": "planner.size-serving/1",
        "planner_version": __version__,
        "inputs": {
            "model": inputs_of(first.job.model, first.job.cluster)["model"],
            "workload": asked(first.job.workload),
            "engine": first.job.engine.name,
            "gpus": [cast("form.Gpu", picked(k, GPU)) for k in q.kinds],
            "prices_rank": q.money,
            "max_gpus": q.most,
        },
        "assumptions": list(q.assumptions),
        "fits_as_requested": answer.answer is not None,
        "answer": None if answer.answer is None else deployment(answer.answer),
        "fewest": None if answer.fewest is None else deployment(answer.fewest),
        "cheapest": None if answer.cheapest is None else deployment(answer.cheapest),
        "each_gpu": [deployment(s) for s in answer.found if s.option is not None],
        "does_not_fit": [
            {"gpu": s.kind.name, "gpus": s.gpus, "says": _why_not(s)} for s in answer.found if s.option is None
        ],
        "search": {"seconds": answer.seconds},
    }


def deployment(s: Served) -> form.Carrier:
    """One deployment."""
    assert s.option is not None
    cluster, paid = s.kind.question.job.cluster, s.bill
    count = cluster.node.count
    gpus = s.nodes * count if s.kind.whole or s.nodes > 1 else s.gpus
    own = {
        "instance": paid.node.name if paid and paid.node else cluster.node.name if s.kind.whole else None,
        "instances": held(instances(gpus, s.nodes, s.kind.types)),
        "price": paid and price(paid),
        "deployment": deployed(s.kind.question.job, s.option),
    }
    return cast("form.Carrier", picked(s, CARRIER, **own))


GPU = "name accelerator=question.job.cluster.accelerator.name usd_per_gpu_hour=price"
CARRIER = """
gpu=kind.name accelerator=kind.question.job.cluster.accelerator.name gpus nodes instance instances tokens_per_second
ttft_s=option.ttft tpot_s=option.tpot usd_per_hour=bill.usd_per_hour usd_per_million_output_tokens=usd_per_million
price deployment
"""
"""Fields in JSON, in order."""
