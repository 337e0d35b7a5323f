"""The recommendation on a terminal, or in a pipe: the same lines, cropped never."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from textwrap import fill

from rich.console import Console
from rich.table import Table
from rich.text import Text

from planner.blocks.counts import parameters
from planner.recommend import DISAGREEMENT, Ranked, Recommendation
from planner.report.words import (
    CURES,
    band_words,
    largest_part,
    loses,
    miss,
    recompute_name,
    relaxation,
    where_it_fits,
    why,
    wider,
    with_band,
)
from planner.training.job import Job
from planner.units import GIB, format_bytes, format_count, format_rate, format_seconds

READABLE = 118
"""Columns at which sentences are wrapped; tables and commands never are."""

BAR = 12
"""Cells of the memory bar."""


def recommendation(console: Console, answer: Recommendation, arguments: Sequence[str]) -> None:
    """Header, ranking, reasons and next steps."""
    for line in header(answer):
        console.print(line)
    console.print()
    if not answer.fits:
        for line in does_not_fit(answer):
            console.print(line)
        console.print()
    if answer.ranked:
        console.print(ranking(answer))
        console.print()
        for line in reasons(answer):
            console.print(fill(line, min(console.width, READABLE), subsequent_indent=" " * 8))
    if answer.untried:
        left = ", ".join(f"{what} ({option})" for what, option in answer.untried)
        console.print(fill(f"Space   not tried: {left}", min(console.width, READABLE), subsequent_indent=" " * 8))
    for line in following(answer, arguments):
        console.print(line)


def header(answer: Recommendation) -> list[str]:
    """What was asked, with every default filled in."""
    job = answer.job
    w = job.workload
    return [
        training(job),
        hardware(job),
        f"{w.global_batch:,} sequences × {w.seq:,} tokens per step · {job.framework.name} · {answer.plans:,} plans, "
        f"{answer.feasible:,} fit · {answer.seconds:.2f} s",
    ]


def training(job: Job) -> str:
    """The model and how it is trained, in one line."""
    w = job.workload
    method = "LoRA rank " + str(w.lora_rank) if w.method == "lora" else "training"
    states = {"adam": "Adam with fp32 states", "adam-bf16": "Adam with bf16 states", "adam-8bit": "8-bit Adam"}
    offload = ", optimizer offloaded" if w.offload == "optimizer" else ""
    return (
        f"{job.model.name} · {format_count(parameters(job.model).total)} parameters · {method}, {w.precision}, "
        f"{states[w.optimizer]}{offload}, {w.attention} attention"
    )


def hardware(job: Job) -> str:
    """The cluster in one line: rates per accelerator and direction."""
    cluster = job.cluster
    links = []
    if cluster.scaleup is not None:
        links.append(f"{cluster.scaleup.name} {format_rate(cluster.scaleup.rate)}")
    if cluster.network is not None and cluster.nodes > 1:
        links.append(f"{cluster.network.name} {format_rate(cluster.network.rate)} per GPU")
    shape = f"{cluster.nodes} node{'s' if cluster.nodes > 1 else ''} × {cluster.used}"
    memory = format_bytes(cluster.accelerator.memory)
    return " · ".join(
        [f"{cluster.gpus:,} × {cluster.accelerator.name} ({memory})", f"{shape} {cluster.node.name}", *links]
    )


def does_not_fit(answer: Recommendation) -> list[str]:
    """That the job does not fit as asked, by how much, what would cure it, and where it would fit."""
    lines = ["Does not fit as asked."]
    for near in answer.misses[:2]:
        lines.append(f"  nearest  {miss(near, answer.capacity)}")
    if answer.misses:
        lines.append(f"  cure     {CURES[largest_part(answer.misses[0])]}")
    lines.append(f"  fits on  {where_it_fits(answer)}")
    if answer.loosened:
        lines.append(f"  without  {wider(answer.loosened, answer.capacity)}")
    lines += [f"  not even with {name}: {reason}" for name, reason in answer.dropped.items()]
    if answer.ranked:
        lines.append("What does run on these GPUs, by what it gives up (--exact forbids this):")
    return lines


def ranking(answer: Recommendation) -> Table:
    """The ranked plans."""
    moe, cp = answer.job.model.moe is not None, any(r.plan.cp > 1 for r in answer.ranked)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    names = ["#", "tp", *(["cp"] if cp else []), *(["ep", "etp"] if moe else []), "pp", "v", "dp", "b", "m"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("recompute", "zero", "step", "tokens/s", "MFU", "bubble"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("fullest rank", no_wrap=True)
    if not answer.fits:
        table.add_column("relaxed", no_wrap=True)
    for number, ranked in enumerate(answer.ranked, start=1):
        table.add_row(*_cells(number, ranked, answer, moe, cp))
    return table


def _cells(number: int, ranked: Ranked, answer: Recommendation, moe: bool, cp: bool) -> list[str | Text]:
    plan = ranked.plan
    columns = [
        plan.tp,
        *([plan.cp] if cp else []),
        *([plan.ep, plan.etp] if moe else []),
        plan.pp,
        plan.v,
        plan.dp,
        plan.b,
        plan.m,
    ]
    cells: list[str | Text] = [str(number), *(f"{c:,}" for c in columns)]
    cells += [
        recompute_name(ranked.job, plan),
        str(plan.zero),
        with_band(ranked),
        f"{ranked.tokens_per_second:,.0f}",
        f"{ranked.mfu:.1%}",
        f"{float(ranked.estimate.time.bubble_fraction):.1%}",
        memory_bar(ranked, answer),
    ]
    return cells if answer.fits else [*cells, ", ".join(ranked.relaxations)]


def memory_bar(ranked: Ranked, answer: Recommendation) -> Text:
    """Memory of the fullest rank against what there is, as numbers and as a bar."""
    share = ranked.need / answer.capacity
    eighths = round(min(share, 1.0) * BAR * 8)
    bar = ("█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")).ljust(BAR, "·")
    text = Text(f"{ranked.need / GIB:5.1f} / {answer.capacity / GIB:.1f} GiB  ")
    text.append(bar, style="red" if share > 0.95 else "yellow" if share > 0.85 else "green")
    return text.append(f"  rank {float(ranked.estimate.rank):.0f}")


def reasons(answer: Recommendation) -> list[str]:
    """Why the first plan wins and what the next two lose; what the relaxed ones give up."""
    first = answer.ranked[0]
    lines = [f"Why 1   {why(first, answer.capacity)}", f"Band    {band_words(first)}"]
    lines += [replay_line(n, r) for n, r in enumerate(answer.ranked, start=1) if abs(r.disagreement) > DISAGREEMENT]
    if first.replay is not None:
        lines.append(f"Replay  {replay_words(first)}")
    if answer.fits:
        others = answer.ranked[1:3]
        lines += [f"{n}       {loses(other, first)}" for n, other in enumerate(others, start=2)]
        lines += [f"Not     {miss(near, answer.capacity)}." for near in answer.misses[:2]]
        return lines
    seen: dict[tuple[str, ...], int] = {}
    for number, ranked in enumerate(answer.ranked, start=1):
        seen.setdefault(ranked.relaxations, number)
    return lines + [f"Relaxed {', '.join(names)}: {relaxation(names)} (from #{n})" for names, n in seen.items()]


def replay_words(ranked: Ranked) -> str:
    """Both pipeline times of a plan."""
    assert ranked.replay is not None
    done, closed = (format_seconds(t) for t in ranked.replay)
    return f"its pipeline takes {done} operation by operation, {closed} by the closed form."


def replay_line(number: int, ranked: Ranked) -> str:
    """A warning for a plan whose closed form and replay part."""
    return f"! {number}     closed form and replay differ by {ranked.disagreement:+.1%}: {replay_words(ranked)}"


def following(answer: Recommendation, arguments: Sequence[str]) -> list[str]:
    """The next commands, with the same problem."""
    from planner.launch.targets import writes  # all emitters: only the screen needs them

    same = problem(arguments)
    if not answer.ranked and "--exact" not in same:
        return []
    if not answer.ranked:
        return ["Next    without --exact, planner shows what does run on these GPUs"]
    drawn = ["--model" if word == "-m" else word for word in same]
    first = answer.ranked[0]
    written = [f"        planner launch --plan 1 {shlex.join(same)}"]
    return [
        f"Next    planner explain --plan 1 {shlex.join(same)}",
        *(written if not first.relaxations and writes(first.job, first.plan) else []),
        f"        planner timeline --plan 1 {shlex.join(drawn)}",
    ]


def problem(arguments: Sequence[str]) -> list[str]:
    """What of a command line describes the problem: not the command, nor how much of the answer to show and how."""
    kept, words = [], iter(arguments[1:])
    for word in words:
        if word == "--top":
            next(words, None)
        elif word != "--json" and not word.startswith("--top="):
            kept.append(word)
    return kept
