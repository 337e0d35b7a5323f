"""The question people ask of inference: from names and numbers as typed to ranked deployments."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from planner.blocks.structure import beyond_attention
from planner.catalog.clusters import find_cluster
from planner.catalog.fabric import on_network
from planner.catalog.library import open_library
from planner.errors import NoLegalPlan, PlannerError, meant
from planner.frozen import frozen
from planner.plan import Plan, Range
from planner.questions.ask import parse_range, seeing
from planner.questions.given import pythons
from planner.questions.serve_checks import check, image_tokens, seen
from planner.questions.serve_cures import cures
from planner.questions.thumbs import Decided
from planner.questions.thumbs_serving import decided_serving
from planner.schema.formats import COMPUTED, NARROW
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.serving import ServeWorkload
from planner.serving.choose import Choice, Front, choose, front
from planner.serving.disaggregate import Pools, pools
from planner.serving.job import ServeJob
from planner.serving.objective import OBJECTIVES
from planner.serving.options import Option
from planner.serving.rules import first_broken, legal
from planner.serving.space import ServeBounds, layouts
from planner.units import given
from planner.wording import nearest_literal, schema_problem

ALWAYS = ("latency", "offline")
"""Objectives that are answered beside the one asked for."""

_DEGREE = re.compile(r"(tp|ep|pp|dp)=([0-9.]{1,24})")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/s)?")


@frozen
class ServeQuestion:
    """A problem with its names resolved.

    Attributes:
        pools: what prefill and decode instances of disaggregated pools are pinned to.
        together: the workload's users are a batch that must run at once.
        assumptions: every default that was used, one sentence each.
    """

    job: ServeJob
    bounds: ServeBounds
    pools: tuple[ServeBounds, ServeBounds]
    objective: str
    together: bool
    assumptions: tuple[str, ...]

    @property
    def pinned(self) -> bool:
        """Whether pools are pinned to other layouts than all deployments."""
        alone = {name: kept for name, kept in self.bounds.ranges.items() if name != "dp"}
        return any(pool.ranges != alone for pool in self.pools)


@frozen
class ServeAnswer:
    """Ranked deployments, and the other answers to the same question.

    Attributes:
        latency, offline: best by those objectives, whatever the load; pools: disaggregated, or None.
        fewest: the smallest deployment without pools, where a rate is given and pools carry it.
        cures: changes of the question that would let something fit, as options of the command line.
    """

    question: ServeQuestion
    choice: Choice
    latency: Option | None
    offline: Option | None
    front: Front
    pools: Pools | None
    fewest: Option | None
    cures: tuple[str, ...]
    seconds: float

    @property
    def rule(self) -> Decided | None:
        """The rule of thumb that decided the first deployment, if one did."""
        return decided_serving(self.choice.ranked, self.question.job.workload.output, self.question.objective)


@pythons(**dict.fromkeys(("tp", "ep", "pp", "dp"), "str"))
def ask_serve(
    model: str,
    gpus: str,
    *,
    network: str | None = None,
    input: int | None = None,
    output: int | None = None,
    prefix: int | None = None,
    images: int | None = None,
    image_size: int | None = None,
    weights: str | None = None,
    kv: str | None = None,
    engine: str = "vllm",
    users: int | None = None,
    batch: int | None = None,
    rate: str | None = None,
    ttft: str | None = None,
    tpot: str | None = None,
    statistic: str = "mean",
    objective: str | None = None,
    prefill: str | None = None,
    decode: str | None = None,
    profiles: str | Path | None = None,
    strict: bool = False,
    **dimensions: str | None,
) -> ServeQuestion:
    """Look up the names, fill in the defaults and check the counts.

    `dimensions` are tp, ep, pp and dp as "4", "2..8" or "1,2,4"; None leaves one free. `prefill` and `decode` are such
    dimensions of an instance, "tp=4 dp=2", with dp its number.

    Raises:
        PlannerError: whatever is wrong with the question.
    """
    library = open_library(profiles, strict)
    shape, cluster = library.model(model), find_cluster(on_network(gpus, network), library)
    preset = library.engine(engine)
    if sum(x is not None for x in (users, batch, rate)) > 1:
        raise PlannerError("--users, --batch and --rate are ways to give one load: leave all but one out")
    asked: dict[str, Any] = {"input": input, "output": output, "prefix": prefix or 0, "weights": weights, "kv": kv}
    asked |= {"users": users if batch is None else batch, "rate": _rate(rate), "statistic": statistic}
    asked |= {"ttft": _bound("--ttft", ttft), "tpot": _bound("--tpot", tpot)}
    for option, count in (("--users", users), ("--batch", batch)):
        if count is not None and not 1 <= count <= 10**6:
            raise PlannerError(f"{option} must be between 1 and 10^6, not {count}")
    asked |= seeing(shape.value, {"images": images, "image_size": image_size})
    workload, notes = _workload(shape.value, cluster.value, asked)
    job = ServeJob(shape.value, cluster.value, workload, preset.value.on(cluster.value.accelerator))
    check(job)
    ranges = {name: parse_range(name, text) for name, text in dimensions.items() if text is not None}
    chosen = _objective(objective, job)
    apart = _pinned("prefill", prefill, job, ranges), _pinned("decode", decode, job, ranges)
    said = (*shape.assumptions, *cluster.assumptions, *preset.assumptions, *notes)
    return ServeQuestion(job, ServeBounds(ranges), apart, chosen, batch is not None, (*said, *confidence(job)))


def _bound(option: str, text: str | None) -> float | None:
    """A service level in seconds."""
    if text is None:
        return None
    value = given(option, text, "second", f"{option} {text if text.isdigit() else 30}ms")
    if value <= 0:
        raise PlannerError(f"{option} {text} can be kept by nothing: it must be positive", f"{option} 30ms")
    return value


def _pinned(option: str, text: str | None, job: ServeJob, ranges: dict[str, Range]) -> ServeBounds:
    """What an option pins instances of a pool to, beside the degrees that are pinned for all: "tp=4 pp=2 dp=3"."""
    kept = {name: chosen for name, chosen in ranges.items() if name != "dp"}
    if text is None:
        return ServeBounds(kept)
    if job.workload.users is not None or job.engine.scheduler != "continuous":
        raise PlannerError(f"--{option} pins pools, which answer --rate or a searched load of continuous engines")
    words = text.replace(",", " ").split()
    found = [match for word in words if (match := _DEGREE.fullmatch(word))]
    if not words or len(found) < len(words) or len({match[1] for match in found}) < len(found):
        usage = f'--{option} "tp=4 ep=1 pp=1 dp=2": degrees of one instance, and dp instances; 2..8 is a range'
        raise PlannerError(f"--{option} {text!r:.60} is not understood", usage)
    return ServeBounds(kept | {match[1]: parse_range(match[1], match[2]) for match in found})


def _rate(text: str | None) -> float | None:
    """Requests per second: "2.5" or "2.5/s"."""
    if text is None:
        return None
    match = _RATE.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) < 10**6:
        raise PlannerError(f"--rate {text!r:.40} is not a number of requests per second", "--rate 2.5")
    return float(match[1])


def _objective(text: str | None, job: ServeJob) -> str:
    """The name of the objective as typed; the first where none is."""
    chosen = next((name for name in OBJECTIVES if text in (None, name)), None)
    if chosen is None:
        known = [f"{name:<12}{one.words}" for name, one in OBJECTIVES.items()]
        raise PlannerError(f"--objective {text!r:.40} is unknown", [*meant(str(text), [*OBJECTIVES]), *known])
    if OBJECTIVES[chosen].counts and job.workload.users is None and job.workload.rate is None:
        raise PlannerError(f"--objective {chosen} needs a load", "--rate 5 (requests per second) or --users 64")
    return chosen


def _workload(model: Model, cluster: Cluster, asked: dict[str, Any]) -> tuple[ServeWorkload, tuple[str, ...]]:
    """The workload, and a sentence for every default in it."""
    notes = []
    seen = _valid({name: asked[name] for name in ("images", "image_size") if name in asked} | {"input": 1, "output": 1})
    tokens = image_tokens(model, seen)
    for name, value in (("input", min(1024, model.context // 2) + tokens), ("output", min(256, model.context // 4))):
        if asked[name] is None:
            asked[name] = value
            notes.append(f"{value:,} {'prompt' if name == 'input' else 'output'} tokens per request; --{name} sets it")
    wide = "bf16" if cluster.accelerator.peak.bf16 is not None else "fp16"
    own = model.checkpoint
    kept = {"weights": None, "kv": None} if own is None else {"weights": own.weights, "kv": own.kv}
    if cluster.accelerator.peak.fp8 is None:
        kept["kv"] = None
    for name, what in (("weights", "weights"), ("kv", "KV cache")):
        if asked[name] is None:
            asked[name] = kept[name] or wide
            whose = " (the checkpoint's own)" if kept[name] else ""
            notes.append(f"{what} in {asked[name]}{whose}; --{name} sets it")
    return _valid(asked), tuple(notes)


def _valid(asked: dict[str, Any]) -> ServeWorkload:
    """The workload of these fields."""
    try:
        return ServeWorkload(**asked)
    except ValidationError as error:
        problem = error.errors()[0]
        where = f"--{str(problem['loc'][0]).replace('_', '-')} {problem['input']!r:.40}: " if problem["loc"] else ""
        raise PlannerError(f"{where}{schema_problem(problem)}", nearest_literal(problem)) from None


def confidence(job: ServeJob) -> tuple[str, ...]:
    """What the estimates rest on that was not measured."""
    cluster, said = job.cluster, list(job.cluster.doubts)
    known = cluster.accelerator.inference
    if known is None or known.trust == "assumed":
        said.append(f"low confidence: no inference runs on {cluster.accelerator.name} were at hand")
    if not job.engine.built_for(cluster.accelerator):
        said.append(f"low confidence: {job.engine.name} is not built for {cluster.accelerator.name}")
    link = cluster.scaleup
    if link is not None and cluster.gpus > 1 and (link.kind == "pcie" or link.peer_latency is None):
        said.append(f"low confidence with tp > 1: all-reduce over {link.name} was not measured, and boxes differ")
    if (wanted := COMPUTED[job.workload.weights]) in NARROW and not job.multiplies(wanted):
        part = cluster.accelerator.name
        said.append(f"{part} has no {wanted} products: {job.engine.name} widens weights inside its kernels (Marlin)")
    if job.workload.weights == "int8":
        said.append("int8 weights are widened inside 16-bit kernels (W8A16); --weights w8a8: int8 activations too")
    if wanted == "w8a8":
        said.append("low confidence: no inference runs with int8 products (W8A8) were at hand")
    if not job.caches(kept := job.workload.kv):
        said.append(f"{cluster.accelerator.name} has no {kept} products: most kernels take no cache in {kept} there")
    if beyond := beyond_attention(job.model):
        said.append(f"low confidence: no inference runs of {beyond} were at hand")
    said.extend(seen(job))
    if job.model.moe is not None:
        said.append("low confidence: mixtures of experts are off by 17 to 27 % on measured runs")
    if job.engine.trust != "measured":
        said.append(f"low confidence: the preset {job.engine.name} is assumed")
    return tuple(said)


def answer(question: ServeQuestion) -> ServeAnswer:
    """Search, and answer the neighbouring questions too.

    Raises:
        NoLegalPlan: the options leave no layout that any rule allows.
    """
    started = perf_counter()
    job, bounds = question.job, question.bounds
    choice = choose(job, bounds, question.objective, question.together)
    if not choice.options:
        raise _illegal(job, bounds)
    _check_pools(question)
    free = _free(job)
    quick, whole = (choose(free, bounds, o).ranked for o in ALWAYS)
    apart = pools(job, *question.pools) if job.workload.users is None and job.engine.scheduler == "continuous" else None
    small = choose(job, bounds, "fewest").ranked if apart is not None and job.workload.rate is not None else ()
    found = () if choice.ranked else cures(question)
    return ServeAnswer(
        question=question,
        choice=choice,
        latency=quick[0] if quick else None,
        offline=whole[0] if whole else None,
        front=front(free, bounds),
        pools=apart,
        fewest=small[0] if small else None,
        cures=found,
        seconds=perf_counter() - started,
    )


def _free(job: ServeJob) -> ServeJob:
    """The job without load and service levels."""
    nothing = {"users": None, "rate": None, "ttft": None, "tpot": None}
    return replace(job, workload=job.workload.model_copy(update=nothing))


def _check_pools(question: ServeQuestion) -> None:
    """Refuse --prefill and --decode of which no instance is legal."""
    for name, bounds in zip(("prefill", "decode"), question.pools, strict=True):
        one = ServeBounds({key: kept for key, kept in bounds.ranges.items() if key != "dp"})
        plans = layouts(question.job, one)
        if not len(plans) or not legal(question.job, plans)[0].any():
            raise NoLegalPlan(f"--{name}: {_illegal(question.job, one)}")


def _illegal(job: ServeJob, bounds: ServeBounds) -> NoLegalPlan:
    """The first rule that the pinned layout breaks."""
    ranges = bounds.ranges
    pinned = {name: max(chosen.only) if chosen.only else max(chosen.low, 1) for name, chosen in ranges.items()}
    tp, ep, pp, dp = (pinned.get(name, 1) for name in ("tp", "ep", "pp", "dp"))
    plan = Plan(tp=tp, ep=ep, pp=pp, dp=dp)
    rule = first_broken(job, plan)
    says = rule.message(job, plan) if rule is not None else f"no layout fills {job.cluster.gpus} GPUs"
    return NoLegalPlan(f"no layout is legal: {says}")
