"""Every number of one plan: symbol = formula = numbers = result, with its source and how far to trust it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

from planner.accuracy.bands import band
from planner.blocks import operators as operators_of
from planner.blocks.counts import model_flops, parameters
from planner.blocks.operator import Product
from planner.blocks.record import Block
from planner.blocks.structure import structure
from planner.cost import collectives, operators
from planner.cost.recompute import recomputed_share
from planner.plan import Plan
from planner.recommend import Ranked
from planner.report.advice import schedule_lines, sensitivity_lines
from planner.report.words import PART_NAMES, degrees, recompute_name, relaxation
from planner.schedules import SCHEDULES
from planner.stages import Row, rows
from planner.training.estimate import Carried, carried, hop_time, throughput
from planner.training.job import Job
from planner.training.layer import Piece, piece, share_of
from planner.training.memory import Held, held_kinds, state_bytes
from planner.units import format_bytes, format_count, format_flops, format_rate, format_seconds


@dataclass(frozen=True, slots=True)
class Line:
    """One number.

    Attributes:
        group: parameters, memory, operators, time or throughput.
        value: SI; unit: of value; text: the value as shown.
        trust: measured, datasheet, assumed or exact (arithmetic).
    """

    group: str
    symbol: str
    formula: str
    numbers: str
    value: float
    unit: str
    text: str
    source: str
    trust: str


def explanation(ranked: Ranked, capacity: float) -> list[Line]:
    """All lines of one plan."""
    job, plan = ranked.job, ranked.plan
    return [
        *_parameters(job),
        *_memory(ranked, capacity),
        *_operators(job, plan),
        *_time(ranked),
        *_throughput(ranked),
    ]


def as_data(lines: list[Line]) -> list[dict[str, Any]]:
    """The lines for JSON."""
    return [asdict(line) for line in lines]


def text(ranked: Ranked, capacity: float, lines: list[Line]) -> str:
    """The lines for people: grouped, one number each, formula and source below."""
    plan = ranked.plan
    cluster = ranked.job.cluster
    out = [
        f"{ranked.job.model.name} on {cluster.gpus:,} × {cluster.accelerator.name}: {degrees(plan)} m={plan.m}, "
        f"{plan.schedule}, recompute {recompute_name(ranked.job, plan)}",
    ]
    if ranked.relaxations:
        out.append(f"relaxed: {relaxation(ranked.relaxations)}")
    if ranked.need > capacity:
        out.append(f"does not fit: short by {format_bytes(ranked.need - capacity)}")
    group = last = ""
    for line in lines:
        if line.group != group:
            group = line.group
            out += ["", group.upper()]
        out.append(f"  {line.symbol:<22} {line.text:>12}   = {line.formula}")
        if line.numbers:
            out.append(f"  {'':<22} {'':>12}   = {line.numbers}")
        if (cited := f"[{line.trust}: {line.source}]") != last:
            out += wrap(cited, 118, initial_indent=" " * 42, subsequent_indent=" " * 42)
            last = cited
    return "\n".join([*out, *schedule_lines(ranked), *sensitivity_lines(ranked, capacity)]) + "\n"


def _count(group: str, symbol: str, formula: str, numbers: str, value: float, source: str) -> Line:
    return Line(group, symbol, formula, numbers, value, "parameters", format_count(value), source, "exact")


def _parameters(job: Job) -> list[Line]:
    model, parts = job.model, parameters(job.model)
    numbers = " + ".join(f"{name} {format_count(float(p))}" for name, p in parts.parts.items() if p)
    formula = " + ".join(name for name, p in parts.parts.items() if p)
    return [_count("parameters", "N, parameters", formula, numbers, float(parts.total), model.source)]


def _memory(ranked: Ranked, capacity: float) -> list[Line]:
    """The parts of the fullest rank."""
    job, plan, memory = ranked.job, ranked.plan, ranked.estimate.memory
    rank, preset = int(ranked.estimate.rank), job.framework
    kinds, row = held_of(job, plan), row_of(job, plan, rank)
    each, ranks = state_bytes(job), plan.dp * plan.cp
    count = format_count(float(memory.gradients) / each.gradient * (ranks if plan.zero >= 2 else 1))
    gradients = f"{each.gradient:g} × {count}" + _over(plan, 2)
    states = f"({each.master:g} + {each.moments:g}) × {count}" + _over(plan, 1)
    logits = f"{preset.logits_bytes:g} × {plan.b * job.workload.seq // plan.cp:,} × "
    logits += f"{float(kinds[structure(job.model).blocks + 1].dense) / job.model.hidden:,.0f}"
    said = {
        "weights": ("2 B × parameters", _weights(plan, kinds, row), "ZeRO 2020, 3.1"),
        "gradients": (f"{each.gradient:g} B × trained parameters", gradients, f"{preset.name}: gradient buffer"),
        "optimizer": (
            "(master + moments) × trained parameters",
            states if job.workload.offload == "none" else "0: in host memory",
            "ZeRO 2020, 3.1",
        ),
        "activations": (
            "in flight × ((n - r) × layer + r × input)",
            _activations(job, plan, kinds, row, rank),
            "Korthikanti 2022, eq. 2 and 4; " + SCHEDULES[plan.schedule].source,
        ),
        "logits": (
            "bytes per logit × b*s/cp × V/tp on the last rank",
            logits if float(memory.logits) else f"0: rank {rank} has no head",
            preset.source,
        ),
        "buffers": ("a layer's activation gradients, and sends", "widest tensors", "planner.training.memory"),
        "reserve": ("context, communication buffers, allocator", f"{preset.name} preset", preset.source),
    }
    lines = [
        Line("memory", name, *said[name][:2], float(part), "bytes", format_bytes(float(part)), said[name][2], trust)
        for name, part in memory.parts.items()
        for trust in [preset.trust if name in ("logits", "reserve") else "assumed" if name == "buffers" else "exact"]
    ]
    limit = f"of {format_bytes(capacity)} = {preset.usable:g} × {format_bytes(job.cluster.accelerator.memory)}"
    source, shown = job.cluster.accelerator.source, format_bytes(ranked.need)
    total = Line(
        "memory", f"peak, rank {rank}", "sum of the parts", limit, ranked.need, "bytes", shown, source, "datasheet"
    )
    return [*lines, total]


def _over(plan: Plan, stage: int) -> str:
    """The divisor that ZeRO puts under a part."""
    return f" / {plan.dp * plan.cp} (ZeRO-{plan.zero})" if plan.zero >= stage else ""


def held_of(job: Job, plan: Plan) -> tuple[Held, ...]:
    """Every kind of block and end, as memory sees it."""
    return held_kinds(job, plan.floats())


def row_of(job: Job, plan: Plan, rank: int) -> Row:
    """What a pipeline rank holds."""
    return next(row for row in rows(structure(job.model), plan.floats()) if row.first <= rank < row.first + row.ranks)


def _weights(plan: Plan, kinds: tuple[Held, ...], row: Row) -> str:
    held = [(count, float(kind.dense + kind.expert)) for count, kind in zip(row.counts, kinds, strict=True) if count]
    text = " + ".join(f"{count:.0f} × {format_count(each)}" for count, each in held)
    if plan.zero >= 3:
        return f"2 × ({text}) / {plan.dp * plan.cp} + two gathered layers"
    return f"2 × ({text})"


def _activations(job: Job, plan: Plan, kinds: tuple[Held, ...], row: Row, rank: int) -> str:
    blocks = structure(job.model).blocks
    count = float(SCHEDULES[plan.schedule].in_flight(float(plan.pp), float(plan.m), float(plan.v), float(rank)))
    again = float(recomputed_share(plan.recompute_layers, plan.v, row.layers(blocks)))
    each = [
        f"{(1 - again) * number:.4g} × {format_bytes(float(kind.kept.whole))} "
        f"+ {again * number:.4g} × {format_bytes(float(kind.kept.boundary))}"
        for number, kind in zip(row.counts[:blocks], kinds, strict=False)
        if number
    ]
    return f"{count:.4g} × ({' + '.join(each)})"


def _operators(job: Job, plan: Plan) -> list[Line]:
    """The forward operators of each kind of layer, for one micro-batch on one rank."""
    kinds = [kind for kind in structure(job.model).kinds if isinstance(kind, Block)]
    return [line for kind in kinds for line in _block(job, plan, kind)]


def _block(job: Job, plan: Plan, kind: Block) -> list[Line]:
    p, acc = plan.floats(), job.cluster.accelerator
    share = share_of(job, p)
    ops = operators_of(kind, share)
    lines = [_gemm(job, op.name, op.work) for op in ops if isinstance(op.work, Product)]
    one = piece(job, kind, share, float(plan.pp > 1))
    how = "half the square at the attention efficiency" if job.flash else "the whole square, and softmax over it"
    lines.append(_second("operators", "attention core", how, f"s = {job.workload.seq:,}", "", float(one.core), job))
    if plan.tp > 1:
        rate = float(collectives.group(job.cluster, p.tp, 1.0).rate) / 1e9
        sent = sum(x.calls * x.bytes for op in ops for x in op.traffic if x.axis == "tp")
        moved = f"2(t-1)/t × {format_bytes(float(sent))} at {rate:,.0f} GB/s"
        time, source = float(one.forward.tp_comm), job.cluster.scaleup.source if job.cluster.scaleup else ""
        lines.append(_second("operators", "TP traffic", "all-reduces of b*s*h", moved, source, time, job))
    return [*lines, *_passes(job, one, f"memory at {acc.efficiency.memory:.0%} of {format_rate(acc.bandwidth)}")]


def _passes(job: Job, one: Piece, memory: str) -> list[Line]:
    said = "products + core + element-wise work + traffic"
    passes = (("forward", one.forward), ("backward", one.backward))
    return [_second("operators", f"layer {way}", said, memory, "", float(x.total), job) for way, x in passes]


def _gemm(job: Job, name: str, gemm: Product) -> Line:
    """One product with its shape and the share of peak that it reaches."""
    acc, precision = job.cluster.accelerator, job.workload.precision
    m, n, k, count = (float(x) for x in (gemm.m, gemm.n, gemm.k, gemm.count))
    time = float(operators.gemm_time(acc, precision, gemm))
    share = float(gemm.flops) / time / operators.peak(acc, precision)
    times = f"{count:g} × " if count > 1 else ""
    numbers = f"{times}[{m:,.0f} × {k:,.0f}] · [{k:,.0f} × {n:,.0f}] at {share:.0%} of peak"
    return _second("operators", name, "2mnk / (peak × e × x(m)x(n)x(k))", numbers, "", time, job)


def _second(group: str, symbol: str, formula: str, numbers: str, source: str, value: float, job: Job) -> Line:
    """A time; without a source of its own it rests on the accelerator's efficiencies."""
    efficiency = job.cluster.accelerator.efficiency
    shown, cited = format_seconds(value), source or efficiency.source
    return Line(group, symbol, formula, numbers, value, "s", shown, cited, efficiency.trust)


def _time(ranked: Ranked) -> list[Line]:
    """The parts of a step."""
    job, plan, time = ranked.job, ranked.plan, ranked.estimate.time
    said = _said(job, plan)
    parts = {name: float(part) for name, part in time.parts.items() if float(part) > 0}
    lines = [_second("time", PART_NAMES[name], *said[name], part, job) for name, part in parts.items()]
    total = _second("time", "step", "sum of the parts", "", "planner.training.estimate", ranked.step_time, job)
    return [*lines, total, *_band(job, plan)]


def _band(job: Job, plan: Plan) -> list[Line]:
    """The band of the step time; no line where nothing like the plan was measured."""
    found = band(job, plan)
    if found.width is None:
        return []
    said = "abs(log(predicted/measured)), 80% quantile"
    source = "benchmarks/bands.py"
    return [Line("time", "band", said, found.reason, found.width, "1", f"±{found.width:.0%}", source, "measured")]


def _said(job: Job, plan: Plan) -> dict[str, tuple[str, str, str]]:
    """Formula, numbers and source of every part of a step; an empty source means the accelerator's efficiencies."""
    schedule, p, framework, each = SCHEDULES[plan.schedule], plan.floats(), job.framework, state_bytes(job)
    held: Carried = carried(job, p)
    trained = format_count(float(held.trained + held.trained_expert))
    layers = f"m = {plan.m}, {float(held.layers):.0f} layers on the longest rank"
    again = f"m = {plan.m}, {recompute_name(job, plan)}"
    exposed = f"exposed share {framework.tp_exposed:g}"
    hop = f"one hop {format_seconds(float(hop_time(job, p)))}"
    traffic = (
        f"{trained} × ({each.gradient:g} + {each.weight:g}) B over {plan.dp * plan.cp} ranks, {_hidden(job, plan)}"
    )
    fixed = f"{format_seconds(framework.step)} + {framework.jitter:.1%} of the pipeline"
    return {
        "forward": ("m × stage forward", layers, ""),
        "backward": ("m × stage backward", layers, ""),
        "recompute": ("m × recomputed layers × forward", again, "Korthikanti 2022, 5"),
        "tp_comm": ("m × layers × exposed all-reduces", exposed, "Korthikanti 2022, 4.2"),
        "cp_comm": ("m × layers × (ring - attention)", f"cp = {plan.cp}", "Liu 2023, arXiv:2310.01889"),
        "ep_comm": ("m × MoE layers × 4 all-to-alls", f"ep = {plan.ep}", "planner.training.layer"),
        "pp_comm": (f"sends that {schedule.title} exposes", hop, schedule.source),
        "bubble": (schedule.formula, f"p = {plan.pp}, m = {plan.m}, v = {plan.v}, uneven stages", schedule.source),
        "dp_comm_exposed": ("gradients and weights over dp*cp, less what hides", traffic, "ZeRO 2020, 7"),
        "optimizer": (
            f"{each.traffic + each.gradient:g} B × parameters / memory bandwidth",
            f"{trained} on this rank",
            "",
        ),
        "overhead": ("fixed + waiting share", fixed, framework.source),
    }


def _hidden(job: Job, plan: Plan) -> str:
    """What hides data-parallel traffic, and what its calls cost the host."""
    framework = job.framework
    if plan.zero < 2:
        return f"{framework.dp_hidden:.0%} of the last backward hides it"
    if not framework.gathers_block:
        return f"each pass hides it, slowed down by {framework.fsdp_slowdown:.0%} of what it hides"
    host = f", {format_seconds(framework.host_member)} per rank and call" if framework.host_member else ""
    return f"{framework.gathers} calls a layer that nothing hides{host}"


def _throughput(ranked: Ranked) -> list[Line]:
    """Bubble numbers, tokens per second and MFU."""
    job, plan, time, w = ranked.job, ranked.plan, ranked.estimate.time, ranked.job.workload
    tokens, mfu = (float(x) for x in throughput(job, ranked.step_time))
    flops = model_flops(job.model, float(w.seq), job.lora) / 1e9
    peak = format_flops(operators.peak(job.cluster.accelerator, w.precision))
    ideal = plan.v * plan.m
    even, even_overhead = (plan.pp - 1) / (ideal + plan.pp - 1), (plan.pp - 1) / ideal

    def line(symbol: str, formula: str, numbers: str, value: float, source: str) -> Line:
        shown, unit = (f"{value:,.0f}", "1/s") if symbol == "tokens/s" else (f"{value:.2%}", "1")
        return Line("throughput", symbol, formula, numbers, value, unit, shown, source, "exact")

    step = f"{w.global_batch:,} × {w.seq:,} / {format_seconds(ranked.step_time)}"
    used = f"{flops:,.1f} GFLOP × {tokens:,.0f} / ({job.cluster.gpus:,} × {peak})"
    fraction, overhead = float(time.bubble_fraction), float(time.bubble_overhead)
    return [
        line("bubble fraction", "idle / (busy + idle)", f"even stages: {even:.2%}", fraction, "GPipe, 2.3"),
        line("bubble overhead", "idle / busy", f"even stages: {even_overhead:.2%}", overhead, "Narayanan 2021, 2.2.1"),
        line("tokens/s", "B × s / step", step, tokens, "arithmetic"),
        line("MFU", "FLOPs per token × tokens/s / (GPUs × peak)", used, mfu, "Korthikanti 2022, appendix A"),
    ]
