"""The recommendation in lines, on a terminal or in a pipe."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence

from planner.bands import fit_verdict, memory_range
from planner.blocks.counts import parameters
from planner.catalog.clusters import devices, links
from planner.cost.memory import states_said
from planner.plan import OnePlan
from planner.questions.train import DISAGREEMENT, Ranked, Recommendation
from planner.report import words
from planner.report.grid import GREEN, RED, YELLOW, columns, paint, prose, tables
from planner.training.job import Job
from planner.training.layouts import layout_string
from planner.training.space import recompute_name
from planner.units import format_bytes, format_count, format_seconds

BAR = 12
"""Cells of the memory bar."""


def recommendation(
    answer: Recommendation, arguments: Sequence[str], width: int | None, more: Sequence[str] = ()
) -> Iterator[str]:
    """Header, ranking, reasons, what `more` is said and next steps."""
    yield from (*header(answer), "")
    if not answer.fits:
        yield from (*does_not_fit(answer), "")
    if answer.ranked:
        yield from (*ranking(answer, width), "")
        yield from prose(reasons(answer), width, 8)
    left = ", ".join(f"{what} ({option})" for what, option in answer.untried)
    yield from prose([*([f"Space   not tried: {left}"] if left else []), *more], width, 8)
    yield from following(answer, arguments)


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
    return f"{job.model.name} · {format_count(parameters(job.model).total)} parameters · {trained(job)}"


def trained(job: Job) -> str:
    """Method, formats, optimizer and attention: "LoRA rank 16, bf16, 8-bit Adam, flash attention"."""
    w = job.workload
    base = f"QLoRA on {w.base} rank" if w.method == "qlora" else "LoRA rank"
    method = f"{base} {w.lora_rank}" if job.lora else "training"
    if job.lora and w.lora_targets != "all-linear":
        method += f" of {w.lora_targets.replace('no-', 'all but ')}"
    away = {"none": "", "parameters": ", parameters and optimizer offloaded"}
    away |= {"activations": f", activations of {w.offload_layers} layers offloaded"} if w.offload_layers else {}
    away |= {"activations": f", inputs of {', '.join(w.offload_modules)} offloaded"} if w.offload_modules else {}
    offload = away.get(w.offload, f", {w.offload} offloaded")
    narrow = ", weights below 16 bit" if w.fp8_param_gather else ""
    narrow += f", {w.bf16_first} + {w.bf16_last} layers in 16 bit" if w.bf16_first or w.bf16_last else ""
    seeing = {"projector": ", of the tower its projector alone", "frozen": ", tower frozen"}
    narrow += seeing.get(w.tower, "") if job.model.tower else ""
    narrow += f", {w.images} image{'s' * (w.images > 1)} a sequence" if w.images else ""
    return f"{method}, {w.precision}{narrow}, {states_said(w.optimizer, job.recipe)}{offload}, {w.attention} attention"


def hardware(job: Job) -> str:
    """The cluster in one line: rates per accelerator and direction."""
    cluster = job.cluster
    shape = f"{cluster.nodes} node{'s' if cluster.nodes > 1 else ''} × {cluster.used} {cluster.node.name}"
    return " · ".join([devices(cluster), shape, *links(cluster)])


def does_not_fit(answer: Recommendation) -> list[str]:
    """That the job does not fit as asked, by how much, what would cure it, and where it would fit."""
    lines = ["Does not fit as asked."]
    for near in answer.misses[:2]:
        lines.append(f"  nearest  {words.miss(near)}")
    if answer.misses:
        lines.append(f"  cure     {', or '.join(answer.cures) or words.cure(answer.misses[0])}")
    lines.append(f"  fits on  {words.where_it_fits(answer)}")
    if answer.loosened:
        lines.append(f"  without  {words.wider(answer.loosened)}")
    for reason in dict.fromkeys(answer.dropped.values()):
        names = [name for name, why in answer.dropped.items() if why == reason]
        lines.append(f"  not with {', '.join(names)}: {reason}")
    if answer.ranked:
        lines.append("What does run on these GPUs, by what it gives up (--exact forbids this):")
    return lines


def ranking(answer: Recommendation, width: int | None = None) -> list[str]:
    """The ranked plans as a table."""
    rows = [_cells(number, ranked, answer) for number, ranked in enumerate(answer.ranked, start=1)]
    shown = [c for c in COLUMNS if c.name in rows[0]]
    return tables(shown, [[[row[c.name] for c in shown] for row in rows]], width)


COLUMNS = columns(
    "#|tp*|sp*|cp*|ep*|etp*|pp*|v*|dp*|copies*|b*|m:4*|schedule<*|dispatcher<*|recompute:3*|zero:2*|step|tokens/s:5|"
    "MFU:7|bubble:8|fullest rank<|bar:9<=|rank:6<=|relaxed:1<*"
)
"""What is said of a plan: what makes the plan, its time and its memory stay, the bar goes first."""


def _cells(number: int, ranked: Ranked, answer: Recommendation) -> dict[str, str]:
    plan, estimate = ranked.plan, ranked.estimate
    moe, cp = answer.job.model.moe is not None, any(r.plan.cp > 1 for r in answer.ranked)
    degrees = ["tp", *(["cp"] if cp else []), *(["ep", "etp"] if moe else []), "pp", "v", "dp", "b", "m"]
    return {
        "#": str(number),
        **telling(ranked, answer),
        **{name: f"{getattr(plan, name):,}" for name in degrees},
        "recompute": recompute_name(ranked.job, plan),
        "zero": str(plan.zero),
        "step": words.with_band(ranked),
        "tokens/s": f"{ranked.tokens_per_second:,.0f}",
        "MFU": f"{ranked.mfu:.1%}",
        "bubble": f"{float(estimate.time.bubble_fraction):.1%}",
        "fullest rank": words.memory_words(ranked),
        "bar": memory_bar(ranked.need / ranked.capacity),
        "rank": f"rank {float(estimate.rank):.0f}",
        **({} if answer.fits else {"relaxed": given_up(answer, ranked)}),
    }


def telling(ranked: Ranked, answer: Recommendation) -> dict[str, str]:
    """What rows may differ in that no other column says, where some of these rows do: no two rows look alike."""
    every = [_apart(one.plan) for one in answer.ranked]
    found = {}
    for name, (text, _) in _apart(ranked.plan).items():
        all_of = [one[name] for one in every]
        if len({word for word in all_of if word[0]}) > len({told for word, told in all_of if word}):
            found[name] = text  # rows that look alike otherwise have different words
    return found


def _apart(plan: OnePlan) -> dict[str, tuple[str, bool]]:
    """Words of a plan, and what the other columns let expect of them: that there are chunks, or copies."""
    dispatcher = plan.dispatcher + (", overlapped" if plan.overlap else "")
    return {
        "sp": ("" if plan.tp == 1 else "yes" if plan.sp else "no", False),
        "copies": (f"{plan.dp_replicate:,}" if plan.dp > 1 else "", False),
        "schedule": ("" if plan.pp == 1 else str(plan.schedule), plan.v > 1),
        "dispatcher": ("" if plan.ep == 1 else dispatcher, False),
    }


def memory_bar(share: float) -> str:
    """Memory of the fullest rank as a share of what there is, drawn in eighths of a cell."""
    eighths = round(min(share, 1.0) * BAR * 8)
    bar = ("█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")).ljust(BAR, "·")
    return paint(bar, RED if share > 0.95 else YELLOW if share > 0.85 else GREEN)


def reasons(answer: Recommendation) -> list[str]:
    """Why the first plan wins and what the next two lose; what the relaxed ones give up."""
    first = answer.ranked[0]
    lines = [f"Why 1   {words.why(first)}"]
    lines += [f"Layers  {n}: {layout_string(r.plan.layout)}" for n, r in enumerate(answer.ranked, 1) if r.plan.layout]
    lines += [f"Rule    {rule} (planner help rules)." for rule in [answer.rule] if rule is not None]
    lines += [f"Band    {words.band_words(first)}"]
    lines += [f"Memory  {words.fit_words(first)}.", *safer(answer)]
    lines += [replay_line(n, r) for n, r in enumerate(answer.ranked, start=1) if abs(r.disagreement) > DISAGREEMENT]
    if first.replay is not None:
        lines.append(f"Replay  {replay_words(first)}")
    if answer.fits:
        others = answer.ranked[1:3]
        lines += [f"{n}       {words.loses(other, first)}" for n, other in enumerate(others, start=2)]
        lines += [f"Not     {words.miss(near)}." for near in answer.misses[:2]]
        return lines
    seen: dict[tuple[str, ...], int] = {}
    for number, ranked in enumerate(answer.ranked, start=1):
        seen.setdefault(ranked.relaxations, number)
    return lines + [_relaxed(answer, answer.ranked[n - 1], n) for n in seen.values()]


def given_up(answer: Recommendation, ranked: Ranked) -> str:
    """What a plan gives up, and the preset that stands in where the job's own has no option for it."""
    names, own = ", ".join(ranked.relaxations), ranked.job.framework is answer.job.framework
    return names if own else f"{names}, {ranked.job.framework.name}"


def _relaxed(answer: Recommendation, ranked: Ranked, number: int) -> str:
    """What was given up from a row on, and which framework can be told so."""
    names, preset = ranked.relaxations, answer.job.framework.name
    told = f"; {preset} has no option for it"
    if ranked.job.framework is not answer.job.framework:
        told += f": planned for {ranked.job.framework.name}, which has"
    elif _writable(ranked):
        told = ""
    else:
        told += ", --framework names others"
    return f"Relaxed {', '.join(names)}: {words.relaxation(names)} (from #{number}){told}"


def safer(answer: Recommendation) -> Iterator[str]:
    """Of a tight first plan: which plan of the ranking is known not to be, and what it costs."""
    first, others = answer.ranked[0], enumerate(answer.ranked[1:], start=2)
    if fit_verdict(first.job, first.need, first.capacity) != "tight":
        return
    for number, one in others:
        if memory_range(one.job, one.need) and fit_verdict(one.job, one.need, one.capacity) == "fits":
            more, room = one.step_time / first.step_time - 1, format_bytes(first.need - one.need)
            gives = "" if one.relaxations == first.relaxations else f" ({given_up(answer, one)})"
            time = f"{abs(more):.1%} {'more' if more > 0 else 'less'} time"
            yield f"Safer   plan {number}{gives} takes {time} and {room} less."
            return
    yield "Safer   no plan of these; --strict-fit ranks only plans that fit beyond their band."


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
    same = problem(arguments)
    if not answer.ranked and "--exact" not in same:
        return []
    if not answer.ranked:
        return ["Next    without --exact, planner shows what does run on these GPUs"]
    first = answer.ranked[0]
    return [
        f"Next    planner explain --plan 1 {shlex.join(same)}",
        *([f"        planner launch --plan 1 {shlex.join(same)}"] if _writable(first) else []),
        f"        planner timeline --plan 1 {shlex.join(same)}",
    ]


def _writable(ranked: Ranked) -> bool:
    """Whether `planner launch` writes the plan."""
    from planner.launch.targets import writes  # its emitter

    return writes(ranked.job, ranked.plan)


OWN = ("--top", "--html", "--tokens")
"""Options of `recommend` that are no part of the problem."""


def problem(arguments: Sequence[str], own: Collection[str] = OWN, flags: Collection[str] = ("--json",)) -> list[str]:
    """What of a command line describes the problem: not the command, nor its `own` options, nor how it answers."""
    kept, rest = [], iter(arguments[1:])
    for word in rest:
        if word in own:
            next(rest, None)
        elif word not in flags and word.partition("=")[0] not in own:
            kept.append(word)
    return kept
