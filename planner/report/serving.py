"""Deployments in lines, on a terminal or in a pipe."""

from __future__ import annotations

from collections.abc import Iterator

from planner.blocks.counts import parameters
from planner.catalog.clusters import devices, links
from planner.questions.serve import ServeAnswer
from planner.questions.serve_checks import counted
from planner.report import serving_words as words
from planner.report.grid import columns, kept, prose, scatter, tables
from planner.schema.serving import ServeWorkload
from planner.serving.choose import Rejected, alike
from planner.serving.job import ServeJob
from planner.serving.objective import OBJECTIVES
from planner.serving.options import Option, per_gpu
from planner.units import format_count, format_seconds

SHOWN = 6
"""Rejected layouts that are named."""


def deployments(answer: ServeAnswer, top: int, width: int | None) -> Iterator[str]:
    """Header, ranking, reasons, the other answers and the front."""
    yield from (*header(answer), "")
    yield from ranking(answer, top, width) if answer.choice.ranked else ["Nothing does what was asked."]
    yield from ("", *prose(reasons(answer, top), width, 8))
    if answer.front.options:
        yield from ("", *front(answer, width))
    yield from ("", *prose(words.DEFINITIONS, width, 0))


def header(answer: ServeAnswer) -> list[str]:
    """What was asked, with every default filled in."""
    q = answer.question
    job, w = q.job, q.job.workload
    among = [f"{w.prefix:,} of them cached"] if w.prefix else []
    among += [f"{job.image_tokens:,} of {counted(w.images)}"] if w.images else []
    prefix = f" ({', '.join(among)})" if among else ""
    return [
        f"{job.model.name} · {format_count(parameters(job.model).total)} parameters · inference, weights "
        f"{words.formats(job)}, KV cache {w.kv}",
        hardware(job),
        f"{w.input:,} prompt{prefix} + {w.output:,} output tokens · {load(q.together, w)} · {levels(w)}",
        f"{OBJECTIVES[q.objective].words} · {job.engine.name} · {answer.choice.options:,} deployments · "
        f"{answer.seconds:.2f} s",
    ]


def hardware(job: ServeJob) -> str:
    """The cluster in one line: rates per accelerator and direction."""
    return " · ".join([devices(job.cluster), *links(job.cluster)])


def load(together: bool, w: ServeWorkload) -> str:
    """The load in words."""
    if w.rate is not None:
        return f"{w.rate:g} requests/s (Poisson)"
    if w.users is not None:
        return f"a batch of {w.users:,}" if together else f"{w.users:,} users"
    return "load searched"


def levels(w: ServeWorkload) -> str:
    """The service levels in words."""
    bounds = [f"{n.upper()} ≤ {format_seconds(v)}" for n, v in (("ttft", w.ttft), ("tpot", w.tpot)) if v is not None]
    return f"{', '.join(bounds)}, {words.statistic(w)}" if bounds else "no service levels"


NEXT = "the same with --launch --plan N: flags that start deployment N, and the benchmark that checks it."

COLUMNS = columns("#|tp|ep|pp|dp|GPUs:3|users:1|running:4|TTFT|TPOT|tok/s/user:5|tok/s/GPU|req/s:2|memory|KV tokens:6")


def ranking(answer: ServeAnswer, top: int, width: int | None = None) -> list[str]:
    """The ranked layouts, each at its best load."""
    job = answer.question.job
    moe = job.model.moe is not None
    rows = [_cells(job, option, n, moe) for n, option in enumerate(answer.choice.ranked[:top], start=1)]
    return tables([c for c in COLUMNS if moe or c.name != "ep"], [rows], width)


def _cells(job: ServeJob, option: Option, number: int, moe: bool) -> list[str]:
    plan = option.plan
    degrees = [plan.tp, *([plan.ep] if moe else []), plan.pp, plan.dp]
    each = format_seconds(float(option.tpot)), f"{float(option.per_user):,.1f}"
    return [
        str(number),
        *(f"{d:.0f}" for d in degrees),
        str(words.gpus_of(option)),
        f"{float(option.users):,.0f}",
        f"{float(option.served.running):,.0f}",
        format_seconds(float(option.ttft)),
        *(each if job.workload.output > 1 else ("-", "-")),
        f"{float(per_gpu(option, job.workload.output)):,.1f}",
        f"{float(option.served.requests):,.2f}",
        f"{float(option.memory.total) / job.cluster.accelerator.memory:.0%}",
        f"{float(option.kv_tokens):,.0f}",
    ]


def reasons(answer: ServeAnswer, top: int) -> list[str]:
    """Why the first wins, what the next lose, what the others break, and the other answers."""
    job, ranked = answer.question.job, answer.choice.ranked
    lines = [f"Why 1   {words.why(job, ranked[0])}"] if ranked else []
    lines += [f"Rule    {rule} (planner help rules)." for rule in [answer.rule] if rule is not None]
    lines += [f"Note    {remark}." for option in ranked[:1] for remark in words.remarks(job, option)]
    lines += [f"Same    {words.same(o, n)}." for n, o in enumerate(answer.choice.alike[:top], start=1) if o]
    lines += [f"Images  {words.encoder(job, option)}." for option in ranked[:1] if job.workload.images]
    lines += [f"Band    {words.band(job, option)}" for option in ranked[:1]]
    lines += [f"{n}       {words.loses(job, option, ranked[0])}" for n, option in enumerate(ranked[1:3], start=2)]
    misses = _distinct(answer.choice.rejected)
    lines += [f"Not     {words.rejected(job, miss)}." for miss in misses[:SHOWN]]
    hidden = len(misses) - SHOWN
    lines += [f"        and {hidden} more" for _ in range(1) if hidden > 0]
    lines += [f"Cure    {cure}" for cure in answer.cures]
    lines += also(answer)
    lines += [f"Next    {NEXT}" for _ in ranked[:1] if job.engine.target is not None]
    lines += [f"Next    {words.larger(job)}" for _ in range(1) if not ranked and not answer.cures]
    return lines


def _distinct(rejected: tuple[Rejected, ...]) -> list[Rejected]:
    """The nearest miss of each layout, those that differ in nothing that counts once."""
    kept: list[Rejected] = []
    for miss in rejected:
        if not any(miss.breaks == k.breaks and _close(miss.option, k.option) for k in kept):
            kept.append(miss)
    return kept


def _close(one: Option, other: Option) -> bool:
    degrees = [(o.plan.tp, o.plan.ep, o.plan.pp) for o in (one, other)]
    return degrees[0] == degrees[1] or alike(one, other)


def also(answer: ServeAnswer) -> list[str]:
    """The other answers: fastest single request, most throughput without service levels, disaggregated pools."""
    job, asked = answer.question.job, answer.question.objective
    output, lines = job.workload.output, []
    if answer.latency is not None and asked != "latency":
        x = answer.latency
        whole, token = float(x.ttft + (output - 1) * x.tpot), float(x.tpot)
        said = f"{format_seconds(whole)} per request, TPOT {format_seconds(token)}"
        lines.append(f"Latency {words.layout(x)} alone: {said}.")
    if answer.offline is not None and asked != "offline":
        x = answer.offline
        said = f"{float(per_gpu(x, output)):,.0f} tok/s/GPU with {float(x.users):,.0f} requests"
        lines.append(f"Offline {words.layout(x)}: {said}.")
    if answer.pools is not None:
        best = answer.choice.ranked[0] if answer.choice.ranked else None
        lines.append(f"Pools   {words.pools_words(job, answer.pools, best, answer.fewest)}.")
    elif job.workload.rate is not None:
        lines.append(
            f"Pools   none carry {job.workload.rate:g} requests/s within the levels on {job.cluster.gpus} GPUs."
        )
    elif answer.question.pinned:
        lines.append(f"Pools   none as pinned fit {job.cluster.gpus} GPUs within the levels.")
    return lines


def front(answer: ServeAnswer, width: int | None = None) -> list[str]:
    """The Pareto front, drawn with one digit per tensor-parallel degree, and as a short table."""
    found = answer.front
    marks = "".join(_mark(option) for option in found.options)
    lines = [f"Pareto front, marked by tp ({answer.question.job.model.name}, any load, before service levels)"]
    lines += scatter(found.per_user, found.per_gpu, marks, "tokens/s/user", "tok/s/GPU", width)
    step = max(1, -(-len(found.options) // SHOWN))
    shown = list(zip(found.options, found.per_user, found.per_gpu, strict=True))[::step]
    rows = [
        (f"{words.layout(o):<18}", f"{float(o.users):7,.0f} users", f"{user:8.1f} tok/s/user", f"{gpu:9.1f} tok/s/GPU")
        for o, user, gpu in shown
    ]
    margin = 10 if kept(FRONT, rows, None if width is None else width - 10, 1) else 0
    return lines + [" " * margin + line for line in tables(FRONT, [rows], width, 1)]


FRONT = columns("<|||")


def _mark(option: Option) -> str:
    tp = int(option.plan.tp)
    return str(tp) if tp < 10 else chr(ord("a") + min(tp.bit_length() - 4, 25))
