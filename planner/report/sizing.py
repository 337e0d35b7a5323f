"""Sizes of clusters on a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from planner.bands import band
from planner.questions.size import SizeAnswer
from planner.questions.train import Ranked
from planner.report import sizing_words as words
from planner.report.grid import Column, prose, tables
from planner.report.table import problem, training
from planner.report.words import band_words, cure, miss
from planner.sizing.point import Point
from planner.units import format_count, format_seconds

FRONT = 8
"""Rows of the Pareto front that are shown; JSON has all."""

OWN = {"--tokens", "--deadline", "--budget", "--price", "--objective", "--max-gpus", "--failures", "--checkpoint"}
OWN |= {"--restart", "--repair", "--gpu", "--gpus", "-g", "--fields", "--html"}
FLAGS = ("--json", "--quiet", "-q", "--serve")
"""Options of `size` that other commands do not take, with a value behind them and without; or need not take."""


def sizes(answer: SizeAnswer, arguments: Sequence[str], width: int | None) -> Iterator[str]:
    """Header, answers, the front, reasons and next steps."""
    yield from (*header(answer), "")
    if answer.answer is None:
        yield from nothing(answer)
        return
    yield from (*table(answer, width), "")
    yield from prose(reasons(answer, answer.answer), width, 9)
    following = words.next_commands(answer.answer, shlex.join(problem(arguments, OWN, FLAGS)))
    for word, command in zip(("Next", ""), following, strict=False):
        yield f"{word:<9}{command}"


def header(answer: SizeAnswer) -> list[str]:
    """What was asked, with every default filled in."""
    q = answer.question
    job = q.kinds[0].job
    limits = [] if q.run.tokens is None else [f"{format_count(q.run.tokens)} tokens"]
    limits += [] if q.limits.deadline is None else [f"within {format_seconds(q.limits.deadline)}"]
    limits += [] if q.limits.budget is None else [f"for at most {words.usd(q.limits.budget)}"]
    return [
        training(job),
        " · ".join(
            [
                *(limits or ["fewest GPUs that run it"]),
                f"{job.workload.seq:,} tokens per sequence",
                job.framework.name,
                f"{', '.join(k.name for k in q.kinds)} up to {q.most:,}",
                f"{len(answer.points)} sizes fit",
                f"{answer.seconds:.2f} s",
            ]
        ),
    ]


def table(answer: SizeAnswer, width: int | None = None) -> list[str]:
    """One size per row: those that answer, the best on each GPU, the front."""
    groups = [[(name, p) for name, p in answer.best.items() if p is not None]]
    if len(answer.question.kinds) > 1:
        groups.append([(f"on {p.kind.name}", p) for p in answer.each])
    if len(answer.front) > 1:
        groups.append([("front", p) for p in thinned(answer.front, FRONT)])
    timed = answer.question.run.tokens is not None
    priced = any(p.bill is not None for group in groups for _, p in group)
    hidden = {"$/h"} if timed else {"time", "GPU-hours", "cost"}
    cells = [[_cells(*named) for named in group] for group in groups]
    columns = [c for c in cells[0][0] if c.name not in (hidden if priced else hidden | {"cost", "$/h"})]
    return tables(columns, [[[row[c] for c in columns] for row in group] for group in cells], width)


def _cells(name: str, p: Point) -> dict[Column, str]:
    return {
        Column("", right=False): f"{name:<8}",
        Column("GPUs"): f"{p.gpus:,}",
        Column("time"): words.time_with_band(p),
        Column("GPU-hours", 2): format_count(p.gpu_hours or 0.0),
        Column("cost"): "?" if p.cost is None else words.usd(p.cost),
        Column("$/h"): "?" if p.bill is None else words.usd(p.bill.usd_per_hour),
        Column("tokens/s", 3): f"{p.tokens_per_second:,.0f}",
        Column("MFU", 4): f"{p.ranked.mfu:.1%}",
        Column("cluster", 1, right=False): words.shape(p),
        Column("layout", right=False): words.layout(p),
    }


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many points, evenly out of all, the ends kept."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def reasons(answer: SizeAnswer, head: Point) -> list[str]:
    """Why this size, how sure, what it costs where, how it scales."""
    lines = []
    if answer.best.get("fewest") is head and answer.binding is not None:
        lines.append(f"Why      no fewer: {words.binding_words(answer.binding, answer)}.")
    lines.append(f"Band     {band_words(head.ranked)}")
    if head.bill is not None:
        given = "" if answer.question.money else " (not part of any ranking; --price, --budget rank by money)"
        lines.append(f"Price    {words.price_words(head.bill)}{given}.")
    places = words.rent(head)
    if places:
        lines.append(f"Rent     {', '.join(places)}.")
    if answer.question.run.failures is not None:
        lines.append(f"Failures {words.failure_words(head, answer)}.")
    if len(answer.curve) > 1:
        kind = answer.curve[0].point.kind.name
        lines.append(f"Scaling  {kind} {words.pays_words(answer.curve, answer.pays)}.")
    return lines + [f"Not      {_too_small(m)}" for m in answer.misses]


def _too_small(near: Ranked) -> str:
    return f"{near.job.cluster.accelerator.name}: {miss(near)}."


def nothing(answer: SizeAnswer) -> list[str]:
    """That nothing keeps the limits, and what comes nearest."""
    if not answer.points:
        lines = ["Does not fit on any size that was tried."]
        lines += [f"  nearest  {_too_small(m)}" for m in answer.misses]
        lines += [f"  cure     {cure(m)}" for m in answer.misses[:1]]
        return [*lines, f"  more     --max-gpus allows more than {answer.question.most:,}"]
    lines = ["Nothing keeps these limits.", *(f"  {said}" for said in words.nearest_words(answer))]
    head = answer.nearest.quickest or answer.nearest.cheapest
    if head is not None and head.bill is not None and answer.question.money:
        lines.append(f"  price    {words.price_words(head.bill)}")
    if head is not None:
        lines.append(f"  band     {band(head.ranked.job, head.ranked.plan).reason}")
    return lines
