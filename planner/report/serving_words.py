"""Sentences about deployments, out of their numbers."""

from __future__ import annotations

from math import ceil, floor
from typing import cast

from planner.blocks.counts import held
from planner.blocks.operator import Share
from planner.catalog.yamlfile import table
from planner.plan import Plan
from planner.questions.serve import confidence
from planner.questions.serve_checks import counted
from planner.schema.formats import Module
from planner.schema.serving import ServeWorkload
from planner.serving.choose import Rejected
from planner.serving.disaggregate import Pools
from planner.serving.job import ServeJob, copies, fullest, linear, replica_gpus, width
from planner.serving.options import Option, per_gpu
from planner.units import GIB, format_seconds

SAID: dict[str, dict[str, str]] = table("report", "words.yaml")
STEP_PARTS = SAID["decode"]
"""Parts of a decode step in words."""

DEFINITIONS = (
    "TTFT: from a request's arrival to its first token. TPOT: (end-to-end time - TTFT) / (output tokens - 1).",
    "tok/s/user: 1 / mean TPOT. tok/s/GPU: output tokens per second over the GPUs in use. users: requests in flight.",
)
"""What the columns mean."""

BAND = 0.07
"""Mean error of the time per token on measured runs of dense models over NVLink: smaller differences are ties."""

LEAST_PART = 0.02
"""Share of a step below which a part is not named."""


def layout(option: Option) -> str:
    """ "tp4 pp2 dp1", with the experts' degree where it is not 1."""
    return f"{degrees(option.plan)} dp{option.plan.dp:.0f}"


def formats(job: ServeJob) -> str:
    """ "fp8", or "mxfp4 (the checkpoint's own), attention in bf16": how the weights are stored, and by whose choice."""
    own, kept = job.model.checkpoint, job.workload.weights
    if own is None or not job.native:
        return kept
    apart = [f"{words} in {job.format(name)}" for name, words in _present(job) if job.format(name) != kept]
    ends = [f"{own.wide_layers} of {job.model.layers} layers in bf16"] if own.wide_layers else []
    return ", ".join([f"{kept} (the checkpoint's own)", *apart, *ends])


def _present(job: ServeJob) -> list[tuple[Module, str]]:
    """The classes that the model has."""
    has = {op.part for count, op in held(job.model, Share(1.0, 1.0)) if linear(op)}
    return [(name, words) for name, words in cast("dict[Module, str]", SAID["classes"]).items() if name in has]


def by_class(job: ServeJob) -> dict[str, str]:
    """The stored format of every class of linear layer that the model has."""
    return {name: job.format(name) for name, _ in _present(job)}


def users(option: Option) -> str:
    """ "1 user", "1,024 users"."""
    count = float(option.users)
    return f"{count:,.0f} user{'' if count == 1 else 's'}"


def remarks(job: ServeJob, option: Option) -> list[str]:
    """What a reader of one deployment should know: copied heads, slow links, a cache that limits, what was measured."""
    tp, model, cluster, said = float(option.plan.tp), job.model, job.cluster, []
    if tp > model.kv_heads and model.mla is None:
        copied = tp / model.kv_heads
        said.append(f"tp={tp:.0f} exceeds the {model.kv_heads} key/value heads: each is kept {copied:.0f} times")
    if tp > cluster.domain:
        said.append(f"tp={tp:.0f} leaves a scale-up domain ({cluster.domain} GPUs): every layer waits for the network")
    if float(copies(option.plan)) > 1.0 and float(width(option.plan)) > cluster.node.count:
        said.append(
            "not modelled: two half batches at once, whose tokens travel while the other computes (SGLang "
            "--enable-two-batch-overlap, vLLM --enable-dbo), spare copies of experts that are met often"
        )
    if float(option.served.offered) > float(option.served.running):
        waiting = float(option.served.offered - option.served.running)
        said.append(f"a replica runs {floor(float(option.most)):,} requests, {limit(job, option)}; {waiting:,.0f} wait")
    return [*said, *(s for s in confidence(job) if tp > 1 or "tp > 1" not in s)]


def band(job: ServeJob, option: Option) -> str:
    """How far such numbers were from measured ones."""
    if any("low confidence" in s for s in remarks(job, option)):
        return "low confidence, see above and docs/serving.md."
    return (
        f"on measured runs of dense models over NVLink TPOT was {BAND:.0%} off on average, offline throughput 7%, the "
        "TTFT of a lone request 8%, TTFT under load 14% and more."
    )


def encoder(job: ServeJob, option: Option) -> str:
    """What a prompt's images cost: tokens of the prompt, and seconds of its first token."""
    w, seeing, first = job.workload, float(option.served.encoder), float(option.served.ttft)
    return (
        f"a prompt's {counted(w.images)}: {job.image_tokens:,} of its {w.input:,} tokens, and "
        f"{format_seconds(seeing)} in the encoder of the mean TTFT of {format_seconds(first)}"
    )


def statistic(w: ServeWorkload) -> str:
    """Which statistic the bounds are about."""
    return "mean" if w.statistic == "mean" else "p99 (1.67 x mean TTFT, 1.13 x mean TPOT: MLPerf v4.1)"


def why(job: ServeJob, option: Option) -> str:
    """What a token costs: the parts of a step, largest first."""
    parts = {name: float(part) for name, part in option.step.parts.items()}
    total = sum(parts.values())
    named = sorted(((t, n) for n, t in parts.items() if t >= LEAST_PART * total), reverse=True)
    said = " + ".join(f"{STEP_PARTS[name]} {1e3 * t:.1f}" for t, name in named)
    rest = total - sum(t for t, _ in named)
    rest_said = f" + rest {1e3 * rest:.1f}" if rest > 5e-5 else ""
    return f"{layout(option)}: {1e3 * total:.1f} ms per token = {said}{rest_said}; {room(job, option)}."


def capped(job: ServeJob, option: Option) -> bool:
    """Whether the engine's own limit, and not its cache, bounds the requests that run together."""
    return float(option.most) >= job.engine.most


def limit(job: ServeJob, option: Option) -> str:
    """What bounds them, in words."""
    if not capped(job, option):
        return "as many as its cache holds"
    name = SAID["caps"].get(job.engine.target or "")
    return f"the engine's limit ({name})" if name else "the engine's limit"


def room(job: ServeJob, option: Option) -> str:
    """How many of the requests that may run together the load has running, and what bounds them."""
    count, most = float(option.served.running), floor(float(option.most))
    if not capped(job, option):
        return f"{count:,.0f} of the {most:,} requests that a replica's cache holds"
    return f"{count:,.0f} of the {most:,} requests that a replica may run, {limit(job, option)}"


def same(alike: tuple[Option, ...], number: int) -> str:
    """Which layouts a row of the ranking stands for beside its own."""
    return f"{number} also stands for {', '.join(map(layout, alike))}: every number within 3 %"


def loses(job: ServeJob, option: Option, first: Option) -> str:
    """What a runner-up pays in comparison to the first, and for what."""
    output = job.workload.output
    less = 1.0 - float(per_gpu(option, output)) / float(per_gpu(first, output))
    slower = float(option.served.tpot) / float(first.served.tpot) - 1.0
    tie = ", a tie" if abs(less) < BAND else ""
    said = f"{abs(less):.0%} {'fewer' if less >= 0 else 'more'} tokens/s/GPU at {users(option)}{tie}"
    return f"{layout(option)}: {said}, TPOT {slower:+.0%}; {grown(option, first)}."


def grown(option: Option, first: Option) -> str:
    """The part of a step, per running request, that grew most over the first's, and why."""
    shares = {
        name: float(part) - float(first.step.parts[name])
        for name, part in option.step.parts.items()
        if name in STEP_PARTS
    }
    name = max(shares, key=lambda n: shares[n])
    if shares[name] <= 0:
        return "fewer requests per replica share each reading of the weights"
    return f"{STEP_PARTS[name]} {1e3 * shares[name]:+.1f} ms{_because(name, option)}"


def ranks(count: float) -> str:
    """ "1 GPU", "8 GPUs"."""
    return f"{count:.0f} GPU{'s' * (count > 1)}"


def _because(name: str, option: Option) -> str:
    pp, wide = float(option.plan.pp), ranks(float(width(option.plan)))
    if name in ("weights", "kernels", "host") and pp > 1:
        return f": each of {pp:.0f} micro-batches passes every stage by itself"
    if name == "weights":
        return f": only {wide} read them in parallel"
    return {
        "all_reduce": f" over {wide}",
        "prefill_share": ": prompts are computed between its tokens",
        "kv": ": more cache per GPU is read",
    }.get(name, "")


def rejected(job: ServeJob, miss: Rejected) -> str:
    """What a layout breaks, and by how much."""
    w, option = job.workload, miss.option
    if miss.breaks == "memory":
        return f"{layout(option)}: memory, {shortage(job, option)}"
    if miss.breaks == "load":
        count = f"{option.plan.dp:.0f} replica{'s serve' if option.plan.dp > 1 else ' serves'}"
        return f"{layout(option)}: load, {w.rate:g} requests/s are more than {count}"
    bound = w.ttft if miss.breaks == "ttft" else w.tpot
    value = float(option.ttft if miss.breaks == "ttft" else option.tpot)
    lightest = f" even with {users(option)}" if w.users is None and w.rate is None else ""
    said = f"{miss.breaks.upper()} {format_seconds(value)}{lightest}, above {format_seconds(bound or 0.0)}"
    parts = {name: float(part) for name, part in option.step.parts.items()}
    largest = max(parts, key=lambda n: parts[n])
    cause = f" ({STEP_PARTS[largest]} {parts[largest] / sum(parts.values()):.0%}{_because(largest, option)})"
    return f"{layout(option)}: {said}{cause if miss.breaks == 'tpot' else ''}"


def larger(job: ServeJob) -> str:
    """The command that asks how many accelerators do it, where no change of the question does."""
    w = job.workload
    load = f"--rate {w.rate:g}" if w.rate is not None else f"--users {w.users or 1}"
    asked = f"--model {job.model.name} --gpu {job.cluster.accelerator.name} --input {w.input} --output {w.output}"
    return f"planner size --serve {asked} --weights {w.weights} --kv {w.kv} {load}: how many do it."


def shortage(job: ServeJob, option: Option) -> str:
    """How many GiB per GPU are missing, and what takes them."""
    w, missing = job.workload, float(option.short) / GIB
    weights = float(option.memory.weights) / GIB
    usable, many = float(option.capacity) / GIB, float(copies(option.plan))
    free = max(float(option.kv_tokens), 0.0) / many
    if weights >= usable:
        return f"short by {missing:.1f} GiB per GPU: weights take {weights:.1f} of {usable:.1f} GiB"
    each = ceil(float(fullest(option.plan, option.least)))
    need = each * (w.length - w.prefix) + w.prefix
    where = "replica" if many == 1.0 else "copy of the attention"
    return (
        f"short by {missing:.1f} GiB per GPU: {each:,.0f} x {w.length - w.prefix:,} tokens are {need:,.0f} of KV cache "
        f"per {where}, {free:,.0f} fit beside weights of {weights:.1f} GiB in {usable:.1f}"
    )


def pools_words(job: ServeJob, found: Pools, best: Option | None, fewest: Option | None) -> str:
    """Both pools in one line, and how they compare: in GPUs at a given rate, else in tokens per second and GPU."""
    p, d = found.prefill, found.decode
    yield_, each = found.requests * job.workload.output / found.gpus, ceil(round(found.running, 6))
    said = (
        f"{p.dp} x prefill {degrees(p)} + {d.dp} x decode {degrees(d)} with {each:,} requests each "
        f"({found.gpus:.0f} GPUs): TTFT {format_seconds(found.ttft)}, TPOT {format_seconds(found.tpot)}, "
    )
    if job.workload.rate is not None:
        alone = "none without pools does"
        if fewest is not None:
            alone = f"without pools {gpus_of(fewest)} GPUs do ({layout(fewest)})"
        return f"{said}the smallest that carry {found.requests:g} requests/s; {alone}"
    against = "" if best is None else f", {yield_ / float(per_gpu(best, job.workload.output)):.2f} x the best above"
    return f"{said}{found.requests:.2f} requests/s, {yield_:,.0f} tok/s/GPU{against}"


def degrees(plan: Plan) -> str:
    """ "tp4 pp2", with the experts' degree where it is not 1."""
    return f"tp{plan.tp:.0f}{f' ep{plan.ep:.0f}' if plan.ep > 1 else ''} pp{plan.pp:.0f}"


def gpus_of(option: Option) -> int:
    """Accelerators in use."""
    return int(replica_gpus(option.plan) * option.plan.dp)
