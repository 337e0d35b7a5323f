"""Curves over cluster sizes and comparisons of clusters, on a terminal and as versioned JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from planner import __version__
from planner.bands import band
from planner.questions.curve import Column as Compared
from planner.questions.curve import Curve
from planner.report.grid import Column, kept, scatter, tables
from planner.report.jsonout import inputs_of, outcome, plan
from planner.report.sizing_json import on_cluster, price, workload
from planner.report.sizing_words import layout, pays_words, price_words, shape, usd
from planner.report.table import training
from planner.report.words import band_words, degrees, relaxation, unfit, with_band
from planner.sizing.answers import Rung
from planner.training.space import recompute_name
from planner.units import GIB, format_bytes

if TYPE_CHECKING:
    from planner.documents import sizing as form
    from planner.documents.training import Column as Best
    from planner.documents.training import Comparison


def curve(answer: Curve, width: int | None) -> Iterator[str]:
    """Header, a row per size, a small plot, and up to where scaling pays."""
    q = answer.question
    yield training(q.kind.job)
    tail = f"{len(q.sizes)} sizes · {answer.seconds:.2f} s"
    yield f"{q.sizes[0]:,} to {q.sizes[-1]:,} × {q.kind.name} · {q.kind.job.framework.name} · {tail}"
    yield ""
    if answer.rungs:
        rows = [_row(rung) for rung in answer.rungs]
        yield from (*tables(list(rows[0]), [[list(row.values()) for row in rows]], width), "")
        sizes = [float(r.point.gpus) for r in answer.rungs]
        speeds = [r.point.tokens_per_second / 1e3 for r in answer.rungs]  # a line through 0 would be perfect scaling
        yield from (*scatter(sizes, speeds, "●" * len(sizes), "GPUs", "k tokens/s", width), "")
    if answer.unfit:
        yield f"Not      {', '.join(f'{n:,}' for n in answer.unfit)} GPUs: nothing fits as asked"
    if len(answer.rungs) > 1:
        yield f"Scaling  {pays_words(answer.rungs, answer.pays)}."


def _row(rung: Rung) -> dict[Column, str]:
    p = rung.point
    return {
        Column("GPUs"): f"{p.gpus:,}",
        Column("batch", 2): f"{p.ranked.job.workload.global_batch:,}",
        Column("step"): with_band(p.ranked),
        Column("tokens/s", 1): f"{p.tokens_per_second:,.0f}",
        Column("per GPU", 5): f"{p.tokens_per_second / p.gpus:,.0f}",
        Column("MFU", 6): f"{p.ranked.mfu:.1%}",
        Column("per doubling", 3): "" if rung.gain is None else f"{rung.gain:.2f}x",
        Column("cluster", 4, right=False): shape(p),
        Column("layout", right=False): layout(p),
    }


def curve_json(answer: Curve) -> form.Curve:
    """The whole answer."""
    q = answer.question
    job = q.kind.job
    return {
        "schema": "planner.curve/1",
        "planner_version": __version__,
        "inputs": {
            "model": inputs_of(job.model, job.cluster)["model"],
            "workload": workload(q.kind),
            "framework": job.framework.name,
            "accelerator": job.cluster.accelerator.name,
            "node": job.cluster.node.name,
            "sizes": list(q.sizes),
        },
        "assumptions": list(q.assumptions),
        "fits_as_requested": bool(answer.rungs),
        "curve": [
            {
                **on_cluster(r.point),
                "step_time_band": band(r.point.ranked.job, r.point.ranked.plan).width,
                "speedup_per_doubling": r.gain,
                "plan": plan(r.point.ranked, 1),
            }
            for r in answer.rungs
        ],
        "does_not_fit_gpus": list(answer.unfit),
        "scaling_pays_until_gpus": None if answer.pays is None else answer.pays.gpus,
        "search": {"sizes": len(q.sizes), "seconds": answer.seconds},
    }


def comparison(clusters: Sequence[Compared], width: int | None) -> Iterator[str]:
    """One column per cluster, as many side by side as there is room for."""
    yield from (training(clusters[0].question.job), "")
    yield from (*_beside(clusters, width), "")
    for cluster in clusters:
        best = cluster.answer.ranked
        if best:
            yield f"Band     {cluster.name}: {band_words(best[0])}"
        if cluster.bill is not None:
            yield f"Price    {cluster.name}: {price_words(cluster.bill)}"
        if not cluster.answer.fits:
            yield from (f"Not      {cluster.name}: {line}." for line in unfit(cluster.answer))


def _beside(clusters: Sequence[Compared], width: int | None) -> list[str]:
    cells = [_cells(cluster) for cluster in clusters]
    rows = [(name, *(cell[name] for cell in cells)) for name in cells[0] if any(cell[name] for cell in cells)]
    columns = [Column(name, right=False) for name in ("", *(cluster.name for cluster in clusters))]
    half = len(clusters) // 2
    if half and not kept(columns, rows, width, 4):
        return [*_beside(clusters[:-half], width), "", *_beside(clusters[-half:], width)]
    return tables(columns, [rows], width, 4)


def _cells(column: Compared) -> dict[str, str]:
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
    rows["memory"] = f"{best.need / GIB:.1f} of {format_bytes(best.capacity)}"
    if column.bill is not None:
        rows["$/h"] = usd(column.bill.usd_per_hour)
        rows["M tokens/$"] = f"{best.tokens_per_second * 3600 / column.bill.usd_per_hour / 1e6:,.2f}"
    return rows


def comparison_json(columns: Sequence[Compared]) -> Comparison:
    """The whole answer."""
    return {
        "schema": "planner.comparison/1",
        "planner_version": __version__,
        "fits_as_requested": any(c.answer.fits for c in columns),
        "clusters": [_column(c) for c in columns],
    }


def _column(c: Compared) -> Best:
    best = c.answer.ranked[0] if c.answer.ranked else None
    paid = c.bill
    return {
        "name": c.name,
        **outcome(c.answer, c.question.assumptions),
        "plan": None if best is None else plan(best, 1),
        "tokens_per_second_per_gpu": None if best is None else best.tokens_per_second / c.question.job.cluster.gpus,
        "usd_per_hour": None if paid is None else paid.usd_per_hour,
        "tokens_per_usd": None if best is None or paid is None else best.tokens_per_second * 3600.0 / paid.usd_per_hour,
        "price": None if paid is None else price(paid),
    }
