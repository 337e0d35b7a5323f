"""Curves over cluster sizes and comparisons of clusters, on a terminal and as versioned JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from planner import __version__
from planner.curve import Column, Curve
from planner.recommend import usable_memory
from planner.report.jsonout import inputs, inputs_of, loosened, plan
from planner.report.plot import scatter
from planner.report.sizing_json import brief, price
from planner.report.sizing_words import layout, pays_words, price_words, shape, usd
from planner.report.table import training
from planner.report.words import band_words, degrees, recompute_name, relaxation, unfit, with_band
from planner.units import GIB, format_bytes

TIMED = {"time_s", "time_low_s", "time_high_s", "gpu_hours", "cost_usd", "effective_share", "spare_nodes"}
TIMED |= {"time_band", "usd_per_hour", "price", "instance", "instances", "gpu"}
"""Fields of a size that belong to a run of so many tokens."""


def curve(console: Console, answer: Curve) -> None:
    """Header, a row per size, a small plot, and up to where scaling pays."""
    q = answer.question
    console.print(training(q.kind.job))
    tail = f"{len(q.sizes)} sizes · {answer.seconds:.2f} s"
    console.print(f"{q.sizes[0]:,} to {q.sizes[-1]:,} × {q.kind.name} · {q.kind.job.framework.name} · {tail}")
    console.print()
    if answer.rungs:
        console.print(table(answer))
        console.print()
        for line in plot(answer):
            console.print(line)
        console.print()
    if answer.unfit:
        console.print(f"Not      {', '.join(f'{n:,}' for n in answer.unfit)} GPUs: nothing fits as asked")
    if len(answer.rungs) > 1:
        console.print(f"Scaling  {pays_words(answer.rungs, answer.pays)}.")


def table(answer: Curve) -> Table:
    """One size per row."""
    grid = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for name in ("GPUs", "batch", "step", "tokens/s", "per GPU", "MFU", "per doubling"):
        grid.add_column(name, justify="right", no_wrap=True)
    for name in ("cluster", "layout"):
        grid.add_column(name, no_wrap=True)
    for step in answer.rungs:
        p = step.point
        grid.add_row(
            f"{p.gpus:,}",
            f"{p.ranked.job.workload.global_batch:,}",
            with_band(p.ranked),
            f"{p.tokens_per_second:,.0f}",
            f"{p.tokens_per_second / p.gpus:,.0f}",
            f"{p.ranked.mfu:.1%}",
            "" if step.gain is None else f"{step.gain:.2f}x",
            shape(p),
            layout(p),
        )
    return grid


def plot(answer: Curve) -> list[str]:
    """Tokens per second over GPUs; a line through 0 would be perfect scaling."""
    sizes = [float(r.point.gpus) for r in answer.rungs]
    speeds = [r.point.tokens_per_second / 1e3 for r in answer.rungs]
    return scatter(sizes, speeds, "●" * len(sizes), "GPUs", "k tokens/s")


def curve_json(answer: Curve) -> dict[str, Any]:
    """The whole answer. Its JSON Schema is docs/schemas/curve-1.json."""
    q = answer.question
    job = q.kind.job
    workload = job.workload.model_dump(mode="json")
    return {
        "schema": "planner.curve/1",
        "planner_version": __version__,
        "inputs": {
            "model": inputs_of(job.model, job.cluster)["model"],
            "workload": workload if q.kind.batch else workload | {"global_batch": None},
            "framework": job.framework.name,
            "accelerator": job.cluster.accelerator.name,
            "node": job.cluster.node.name,
            "sizes": list(q.sizes),
        },
        "assumptions": list(q.assumptions),
        "fits_as_requested": bool(answer.rungs),
        "curve": [
            {k: v for k, v in brief(r.point).items() if k not in TIMED}
            | {"step_time_band": brief(r.point)["time_band"], "speedup_per_doubling": r.gain}
            | {"plan": plan(r.point.ranked, 1, usable_memory(r.point.ranked.job))}
            for r in answer.rungs
        ],
        "does_not_fit_gpus": list(answer.unfit),
        "scaling_pays_until_gpus": None if answer.pays is None else answer.pays.gpus,
        "search": {"sizes": len(q.sizes), "seconds": answer.seconds},
    }


def comparison(console: Console, columns: tuple[Column, ...]) -> None:
    """One column per cluster."""
    console.print(training(columns[0].question.job))
    console.print()
    grid = Table(box=None, pad_edge=False, padding=(0, 2), header_style="bold")
    grid.add_column("", no_wrap=True)
    for column in columns:
        grid.add_column(column.name, no_wrap=True)
    cells = [_cells(column) for column in columns]
    for name in cells[0]:
        if any(cell[name] for cell in cells):
            grid.add_row(name, *(cell[name] for cell in cells))
    console.print(grid)
    console.print()
    for column in columns:
        best = column.answer.ranked
        if best:
            console.print(f"Band     {column.name}: {band_words(best[0])}")
        if column.bill is not None:
            console.print(f"Price    {column.name}: {price_words(column.bill)}")
        if not column.answer.fits:
            for line in unfit(column.answer):
                console.print(f"Not      {column.name}: {line}.")


def _cells(column: Column) -> dict[str, str]:
    """What is said of one cluster, by row."""
    cluster, answer = column.question.job.cluster, column.answer
    rows = {"GPUs": f"{cluster.gpus:,} × {cluster.accelerator.name}", "nodes": f"{cluster.nodes} × {cluster.node.name}"}
    rows |= {"fits": "yes" if answer.fits else "no", "batch": f"{column.question.job.workload.global_batch:,}"}
    names = ("relaxed", "layout", "recompute", "step", "tokens/s", "per GPU", "MFU", "bubble", "memory")
    rows |= dict.fromkeys((*names, "$/h", "M tokens/$"), "")
    if not answer.ranked:
        return rows
    best = answer.ranked[0]
    rows["relaxed"] = relaxation(best.relaxations)
    rows["layout"] = f"{degrees(best.plan)} m={best.plan.m}"
    rows["recompute"] = recompute_name(best.job, best.plan)
    rows["step"] = with_band(best)
    rows["tokens/s"] = f"{best.tokens_per_second:,.0f}"
    rows["per GPU"] = f"{best.tokens_per_second / cluster.gpus:,.0f}"
    rows["MFU"] = f"{best.mfu:.1%}"
    rows["bubble"] = f"{float(best.estimate.time.bubble_fraction):.1%}"
    rows["memory"] = f"{best.need / GIB:.1f} of {format_bytes(answer.capacity)}"
    if column.bill is not None:
        rows["$/h"] = usd(column.bill.usd_per_hour)
        rows["M tokens/$"] = f"{best.tokens_per_second * 3600 / column.bill.usd_per_hour / 1e6:,.2f}"
    return rows


def comparison_json(columns: tuple[Column, ...]) -> dict[str, Any]:
    """The whole answer. Its JSON Schema is docs/schemas/comparison-1.json."""
    return {
        "schema": "planner.comparison/1",
        "planner_version": __version__,
        "fits_as_requested": any(c.answer.fits for c in columns),
        "clusters": [_column(c) for c in columns],
    }


def _column(c: Column) -> dict[str, Any]:
    best = c.answer.ranked[0] if c.answer.ranked else None
    paid = c.bill
    return {
        "name": c.name,
        "inputs": inputs(c.question.job),
        "assumptions": list(c.question.assumptions),
        "fits_as_requested": c.answer.fits,
        "smallest_cluster_gpus": c.answer.smallest,
        "smallest_cluster_reason": c.answer.larger.why or None,
        "loosened": loosened(c.answer),
        "usable_memory_bytes": c.answer.capacity,
        "plan": None if best is None else plan(best, 1, c.answer.capacity),
        "tokens_per_second_per_gpu": None if best is None else best.tokens_per_second / c.question.job.cluster.gpus,
        "usd_per_hour": None if paid is None else paid.usd_per_hour,
        "tokens_per_usd": None if best is None or paid is None else best.tokens_per_second * 3600.0 / paid.usd_per_hour,
        "price": None if paid is None else price(paid),
    }
