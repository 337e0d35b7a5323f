"""Sizes of clusters on a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from textwrap import fill

from rich.console import Console
from rich.table import Table

from planner.accuracy.bands import band
from planner.recommend import usable_memory
from planner.report.sizing_words import (
    binding_words,
    failure_words,
    layout,
    nearest_words,
    next_commands,
    price_words,
    rent,
    scaling_words,
    shape,
    time_with_band,
    usd,
)
from planner.report.table import READABLE, training
from planner.report.words import CURES, band_words, largest_part, miss
from planner.size import SizeAnswer
from planner.sizing.point import Point
from planner.units import format_count, format_seconds

FRONT = 8
"""Rows of the Pareto front that are shown; JSON has all."""

OWN = {"--tokens", "--deadline", "--budget", "--price", "--objective", "--max-gpus", "--failures", "--checkpoint"}
OWN |= {"--restart", "--repair", "--gpu", "--gpus", "-g", "--fields"}
"""Options of `size` that other commands do not take."""


def sizes(console: Console, answer: SizeAnswer, arguments: Sequence[str]) -> None:
    """Header, answers, the front, reasons and next steps."""
    for line in header(answer):
        console.print(line)
    console.print()
    if answer.answer is None:
        for line in nothing(answer):
            console.print(line)
        return
    console.print(table(answer, _named(answer)))
    if len(answer.question.kinds) > 1:
        console.print()
        console.print(table(answer, [(f"on {p.kind.name}", p) for p in answer.each]))
    if len(answer.front) > 1:
        console.print()
        console.print(table(answer, [("front", p) for p in thinned(answer.front, FRONT)]))
    console.print()
    for line in reasons(answer, answer.answer):
        console.print(fill(line, min(console.width, READABLE), subsequent_indent=" " * 9))
    for word, command in zip(("Next", ""), next_commands(answer.answer, problem(arguments)), strict=False):
        console.print(f"{word:<9}{command}")


def header(answer: SizeAnswer) -> list[str]:
    """What was asked, with every default filled in."""
    q = answer.question
    job = q.kinds[0].job
    limits = [] if q.run.tokens is None else [f"{format_count(q.run.tokens)} tokens"]
    limits += [] if q.limits.deadline is None else [f"within {format_seconds(q.limits.deadline)}"]
    limits += [] if q.limits.budget is None else [f"for at most {usd(q.limits.budget)}"]
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


def _named(answer: SizeAnswer) -> list[tuple[str, Point]]:
    found = {"fewest": answer.fewest, "cheapest": answer.cheapest, "fastest": answer.fastest}
    return [(name, p) for name, p in found.items() if p is not None]


def table(answer: SizeAnswer, rows: Sequence[tuple[str, Point]]) -> Table:
    """One size per row."""
    timed = answer.question.run.tokens is not None
    priced = any(p.bill is not None for _, p in rows)
    grid = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    grid.add_column("", no_wrap=True)
    for name in ("GPUs", *(("time", "GPU-hours") if timed else ()), *(("cost" if timed else "$/h",) if priced else ())):
        grid.add_column(name, justify="right", no_wrap=True)
    for name in ("tokens/s", "MFU"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("cluster", no_wrap=True)
    grid.add_column("layout", no_wrap=True)
    for name, p in rows:
        grid.add_row(*cells(name, p, timed, priced))
    return grid


def cells(name: str, p: Point, timed: bool, priced: bool) -> list[str]:
    """A size in columns."""
    out = [f"{name:<8}", f"{p.gpus:,}"]
    if timed:
        out += [time_with_band(p), format_count(p.gpu_hours or 0.0)]
    if priced:
        money = p.cost if timed else None if p.bill is None else p.bill.usd_per_hour
        out.append("?" if money is None else usd(money))
    return [*out, f"{p.tokens_per_second:,.0f}", f"{p.ranked.mfu:.1%}", shape(p), layout(p)]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many points, evenly out of all, the ends kept."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def reasons(answer: SizeAnswer, head: Point) -> list[str]:
    """Why this size, how sure, what it costs where, how it scales."""
    lines = []
    if answer.fewest is head and answer.binding is not None:
        lines.append(f"Why      no fewer: {binding_words(answer.binding, answer)}.")
    lines.append(f"Band     {band_words(head.ranked)}")
    if head.bill is not None:
        given = "" if answer.question.money else " (not part of any ranking; --price, --budget rank by money)"
        lines.append(f"Price    {price_words(head.bill)}{given}.")
    places = rent(head)
    if places:
        lines.append(f"Rent     {', '.join(places)}.")
    if answer.question.run.failures is not None:
        lines.append(f"Failures {failure_words(head, answer)}.")
    scaling = scaling_words(answer)
    if scaling:
        lines.append(f"Scaling  {scaling}.")
    return lines + [f"Not      {_too_small(m)}" for m in answer.misses]


def _too_small(near: object) -> str:
    from planner.recommend import Ranked

    assert isinstance(near, Ranked)
    return f"{near.job.cluster.accelerator.name}: {miss(near, usable_memory(near.job))}."


def nothing(answer: SizeAnswer) -> list[str]:
    """That nothing keeps the limits, and what comes nearest."""
    if not answer.points:
        lines = ["Does not fit on any size that was tried."]
        lines += [f"  nearest  {_too_small(m)}" for m in answer.misses]
        lines += [f"  cure     {CURES[largest_part(m)]}" for m in answer.misses[:1]]
        return [*lines, f"  more     --max-gpus allows more than {answer.question.most:,}"]
    lines = ["Nothing keeps these limits."]
    lines += [f"  {said}" for said in nearest_words(answer)]
    if answer.question.money:
        quick = answer.nearest.quickest or answer.nearest.cheapest
        if quick is not None and quick.bill is not None:
            lines.append(f"  price    {price_words(quick.bill)}")
    head = answer.nearest.quickest or answer.nearest.cheapest
    if head is not None:
        lines.append(f"  band     {band(head.ranked.job, head.ranked.plan).reason}")
    return lines


def problem(arguments: Sequence[str]) -> str:
    """What of a command line describes the job: the options that `recommend` takes too."""
    kept, words = [], iter(arguments[1:])
    for word in words:
        name = word.partition("=")[0]
        if name in OWN:
            if "=" not in word:
                next(words, None)
        elif word not in ("--json", "--quiet", "-q", "--serve"):
            kept.append(word)
    return shlex.join(kept)
