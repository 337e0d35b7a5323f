"""The question people ask: rank the plans that fit; when none does, say what would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from planner.errors import NoLegalPlan
from planner.plan import Plan, Range
from planner.schema.hardware import Cluster
from planner.schema.workload import Workload
from planner.search import Candidate, Outcome, Problem, search
from planner.simulate import compare
from planner.training.estimate import Estimate, estimate, step_time, throughput
from planner.training.job import Job
from planner.training.memory import peak_bytes
from planner.training.rules import legal, rules_of
from planner.training.space import Bounds, plans

RELAXATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "adam-bf16": ("16-bit gradients and Adam moments, no fp32 master weights", {"optimizer": "adam-bf16"}),
    "adam-8bit": ("16-bit gradients, 8-bit Adam moments, no fp32 master weights", {"optimizer": "adam-8bit"}),
    "offload": ("optimizer states in host memory, updated by the CPU", {"offload": "optimizer"}),
    "lora": ("adapters trained on frozen 16-bit weights", {"method": "lora"}),
}
"""What is given up, in this order, when the job does not fit as asked: name -> (sentence, change of the workload)."""

LEAN = Bounds(ranges={"b": Range(1, 1), "v": Range(1, 1)}, recompute=frozenset({"full"}))
"""The leanest plans: one sequence at a time, everything recomputed. If none of them fits, none does."""

FINALISTS = 3
"""Plans at the top of a ranking whose pipelines are replayed."""

LONGEST_REPLAY = 60_000
"""Operations beyond which a replay takes longer than the search."""

DISAGREEMENT = 0.03
"""Difference between closed form and replay above which a plan is flagged."""

LARGEST_CLUSTER = 131072
"""Accelerators beyond which the smallest fitting cluster is not searched."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One recommended plan with all its numbers.

    Attributes:
        job: the job that the plan runs, relaxed if it had to be; relaxations: names of what was given up.
        replay: seconds of the pipeline replayed operation by operation, and by the closed form; None: not replayed.
    """

    job: Job
    plan: Plan
    relaxations: tuple[str, ...]
    estimate: Estimate
    tokens_per_second: float
    mfu: float
    replay: tuple[float, float] | None = None

    @property
    def disagreement(self) -> float:
        """Closed form over replay, less one; 0 without a replay."""
        return self.replay[1] / self.replay[0] - 1.0 if self.replay else 0.0

    @property
    def step_time(self) -> float:
        """Seconds per optimizer step."""
        return float(self.estimate.time.total)

    @property
    def need(self) -> float:
        """Bytes on the fullest rank."""
        return float(self.estimate.memory.total)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The answer.

    Attributes:
        ranked: plans that run, best first; fits: whether the job fits as asked.
        misses: nearest misses among layouts none of whose plans fit as asked.
        smallest: accelerators of the smallest such cluster that the job fits as asked, when it does not.
        capacity: bytes that a plan may use per accelerator.
        dropped: relaxations that were not tried, with the reason.
        plans, feasible, seconds, broken: what the search did, all relaxations together.
    """

    job: Job
    ranked: list[Ranked]
    fits: bool
    misses: list[Ranked]
    smallest: int | None
    capacity: float
    dropped: dict[str, str]
    plans: int
    feasible: int
    seconds: float
    broken: dict[str, int]


def recommend(
    job: Job, bounds: Bounds, top: int = 10, exact: bool = False, tick: Callable[[int], None] | None = None
) -> Recommendation:
    """Rank all plans of a job inside the bounds; relax it in the documented order when none fits, unless `exact`.

    Raises:
        NoLegalPlan: the bounds leave no plan that obeys the rules.
    """
    outcome = search(plans(job, bounds), problem(job), top, tick=tick)
    if not outcome.legal:
        raise no_legal_plan(job, bounds, outcome)
    ranked = [rank(job, candidate) for candidate in outcome.best]
    ranked[:FINALISTS] = [replayed(one) for one in ranked[:FINALISTS]]
    misses = [rank(job, candidate) for candidate in outcome.near[:3]]
    dropped: dict[str, str] = {}
    smallest, outcomes = None, [outcome]
    if not ranked:
        smallest = smallest_cluster(job)
        if not exact:
            ranked, dropped, relaxed = _relaxed(job, bounds, top, tick)
            outcomes += relaxed
    return Recommendation(
        job,
        ranked,
        bool(outcome.feasible),
        misses,
        smallest,
        usable_memory(job),
        dropped,
        sum(o.plans for o in outcomes),
        sum(o.feasible for o in outcomes),
        sum(o.seconds for o in outcomes),
        outcome.broken,
    )


def best(job: Job, bounds: Bounds) -> Ranked | None:
    """The first plan of the ranking, not replayed; None when none fits as asked or none is legal."""
    outcome = search(plans(job, bounds), problem(job), 1)
    return rank(job, outcome.best[0]) if outcome.best else None


def replayed(ranked: Ranked) -> Ranked:
    """The plan with its pipeline replayed, unless it has no pipeline or too many operations to be done at once."""
    plan = ranked.plan
    if plan.pp == 1 or 2 * plan.pp * plan.m * plan.v > LONGEST_REPLAY:
        return ranked
    both = compare(ranked.job, plan)
    return replace(ranked, replay=(both.timeline.makespan, both.closed_form))


def caveats(job: Job, bounds: Bounds) -> tuple[str, ...]:
    """What no published run in the corpus backs: said wherever the numbers are."""
    said = []
    if not job.cluster.accelerator.tested:
        said.append(
            f"{job.cluster.accelerator.name} was never held against measured training runs; times are estimates"
        )
    if job.framework.trust == "assumed":
        said.append(f"the preset {job.framework.name} holds assumed constants")
    if job.model.moe is not None:
        said.append("mixture-of-experts times (balanced routing, exposed all-to-all) were never held against runs")
    if "cp" in bounds.ranges:
        said.append("context-parallel times were never held against measured runs")
    if job.cluster.gpus > 4096:
        said.append("networks are taken as full bisection; beyond 4,096 GPUs no measured run in the corpus checks that")
    return tuple(said)


def usable_memory(job: Job) -> float:
    """Bytes that a plan may use: what the driver reports, times the share that the framework's allocator fills."""
    return job.cluster.accelerator.memory * job.framework.usable


def rank(job: Job, candidate: Candidate, relaxations: tuple[str, ...] = ()) -> Ranked:
    """All numbers of one plan."""
    result = estimate(job, candidate.plan)
    tokens, mfu = throughput(job, float(result.time.total))
    return Ranked(job, candidate.plan, relaxations, result, tokens, mfu)


def problem(job: Job) -> Problem:
    """The search problem of a training job: peak memory against capacity, step time as cost."""
    return Problem(
        legal=lambda plan: legal(job, plan),
        need=lambda plan: peak_bytes(job, plan.floats()),
        capacity=usable_memory(job),
        cost=lambda plan: step_time(job, plan.floats()).total,
    )


def relax(job: Job, name: str) -> Job:
    """The job with one relaxation."""
    changed: dict[str, Any] = job.workload.model_dump() | RELAXATIONS[name][1]
    return replace(job, workload=Workload(**changed))


def _relaxed(
    job: Job, bounds: Bounds, top: int, tick: Callable[[int], None] | None
) -> tuple[list[Ranked], dict[str, str], list[Outcome]]:
    """What runs with one relaxation at a time: grouped in the documented order, fastest first in each group."""
    groups: list[tuple[Job, str, list[Candidate]]] = []
    dropped: dict[str, str] = {}
    outcomes = []
    for name in RELAXATIONS:
        eased = relax(job, name)
        if eased.workload == job.workload:
            continue
        outcome = search(plans(eased, bounds), problem(eased), top, tick=tick)
        outcomes.append(outcome)
        groups.append((eased, name, outcome.best))
        if not outcome.legal:
            dropped[name] = f"breaks the rule {max(outcome.broken, key=lambda rule: outcome.broken[rule])}"
        elif not outcome.feasible:
            short = outcome.near[0].need - usable_memory(eased)
            dropped[name] = f"short by {short / 2**30:,.1f} GiB at best"
    places = _share([len(best) for _, _, best in groups], top)
    ranked = [
        rank(eased, candidate, (name,))
        for (eased, name, best), count in zip(groups, places, strict=True)
        for candidate in best[:count]
    ]
    return ranked, dropped, outcomes


def _share(sizes: list[int], top: int) -> list[int]:
    """`top` places given out in turns over groups of these sizes, so that every relaxation is seen."""
    taken = [0] * len(sizes)
    while sum(taken) < min(top, sum(sizes)):
        for i, size in enumerate(sizes):
            if taken[i] < size and sum(taken) < top:
                taken[i] += 1
    return taken


def smallest_cluster(job: Job) -> int | None:
    """Fewest accelerators, in whole nodes of this kind, on which the leanest plan fits; None beyond LARGEST_CLUSTER."""
    node, used = job.cluster.node, job.cluster.node.count
    low, high = job.cluster.nodes, job.cluster.nodes
    if job.cluster.used < used and _fits(job, high):
        return high * used
    if node.network is None:
        return None
    while not _fits(job, high):
        low, high = high, high * 2
        if high * used > LARGEST_CLUSTER:
            return None
    return next(n for n in range(low + 1, high + 1) if n == high or _fits(job, n)) * used


def _fits(job: Job, nodes: int) -> bool:
    """Whether some lean plan fits on so many whole nodes; the batch is one sequence each, since it does not matter."""
    cluster: Cluster = job.cluster.model_copy(update={"nodes": nodes, "used": job.cluster.node.count})
    workload = job.workload.model_copy(update={"global_batch": cluster.gpus})
    whole = replace(job, cluster=cluster, workload=workload)
    return search(plans(whole, LEAN), problem(whole), 1, first_fit=True).feasible > 0


def no_legal_plan(job: Job, bounds: Bounds, outcome: Outcome) -> NoLegalPlan:
    """The error for bounds that no rule-abiding plan meets: names the rule that excludes most, and the pins."""
    pins = ", ".join(f"{name} {r.describe()}" for name, r in bounds.ranges.items()) or "the job itself"
    for rule in rules_of(job):
        probe = pinned_plan(job, bounds)
        if probe is not None and not rule.holds(job, probe):
            return NoLegalPlan(f"no legal plan: {rule.message(job, probe)}", [f"rule: {rule.name} ({rule.source})"])
    worst = max(outcome.broken, key=lambda name: outcome.broken[name], default="")
    detail = f"; most of the {outcome.plans:,} tried break the rule {worst!r}" if worst else ""
    return NoLegalPlan(
        f"no legal plan for {job.cluster.gpus} GPUs with {pins}{detail}", ["loosen one of these options"]
    )


def pinned_plan(job: Job, bounds: Bounds) -> Plan | None:
    """The plan that pinned options spell out, the rest at their plainest: what an impossible request asked for."""
    pins: dict[str, Any] = {name: r.low for name, r in bounds.ranges.items() if r.low == r.high}
    schedule = min(bounds.schedules or {"interleaved" if pins.get("v", 1) > 1 else "1f1b"})
    plan = Plan(**pins, schedule=schedule, selective=bounds.recompute == frozenset({"selective"}))
    free = next((name for name in ("dp", "pp", "tp") if name not in pins), None)
    if free is not None:
        plan = replace(plan, **{free: max(1, job.cluster.gpus // plan.gpus)})
    if "m" not in pins:
        plan = replace(plan, m=max(1, job.workload.global_batch // (plan.b * plan.dp)))
    return plan if pins or bounds.schedules or bounds.recompute else None
