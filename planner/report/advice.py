"""What else a plan could do: its pipeline under the other schedules, and how bubble and memory move with m, p and v."""

from __future__ import annotations

from dataclasses import replace

from planner.frozen import frozen
from planner.plan import OnePlan
from planner.questions.train import Ranked
from planner.schedules import MEGATRON, SCHEDULES, Schedule, offered, run_by, runs
from planner.stages import layers_per_rank
from planner.training.estimate import estimate, pipeline_stages
from planner.training.job import Job
from planner.units import format_bytes, format_seconds


@frozen
class Alternative:
    """A plan under another schedule: pipeline time without sends, bubble fraction, micro-batches rank 0 holds.

    Attributes:
        offered: the framework preset runs it.
    """

    schedule: Schedule
    v: int
    seconds: float
    bubble_fraction: float
    in_flight: float
    offered: bool


def alternatives(job: Job, plan: OnePlan) -> list[Alternative]:
    """The plan's stages under every synchronous training schedule that admits its p and m, fastest first.

    Two model chunks stand for as many as wanted where the plan has one.
    """
    if plan.pp == 1:
        return []
    stages, known, found = pipeline_stages(job, plan), offered(job.framework.schedules), []
    p, m = float(plan.pp), float(plan.m)
    for schedule in SCHEDULES.values():
        v = max(plan.v, 2) if not schedule.chunks else schedule.chunks
        if schedule.asynchronous or not schedule.trains or schedule.broken(plan.pp, plan.m, v):
            continue
        seconds = float(schedule.pipeline_time(stages, m, float(v)))
        bubble = max(1.0 - m * float(stages.largest("total")) / seconds, 0.0)
        held, runs_it = float(schedule.in_flight(p, m, float(v), 0.0)), schedule.name in known
        found.append(Alternative(schedule, v, seconds, bubble, held, runs_it))
    return sorted(found, key=lambda a: (a.seconds, a.schedule.name))


def schedule_lines(ranked: Ranked) -> list[str]:
    """The alternatives as lines, and which would be next best."""
    job, plan = ranked.job, ranked.plan
    rows = alternatives(job, plan)
    if not rows:
        return []
    lines = ["", f"SCHEDULES for these stages, p = {plan.pp}, m = {plan.m} (sends left out)"]
    for row in rows:
        mark = "*" if row.schedule.name == plan.schedule else " "
        name = row.schedule.name + (f", v = {row.v}" if row.v > 1 else "")
        where = "" if row.offered else f"   not in {job.framework.name}"
        lines.append(
            f"{mark} {name:<22} {format_seconds(row.seconds):>9}   bubble {row.bubble_fraction:6.2%}   "
            f"{row.in_flight:5.1f} micro-batches on rank 0{where}"
        )
    return [*lines, _next_best(plan, rows)]


def _next_best(plan: OnePlan, rows: list[Alternative]) -> str:
    """The best schedule beside the plan's own, what it would gain and what it would hold."""
    mine = next((r for r in rows if r.schedule.name == plan.schedule), rows[0])
    other = next((r for r in rows if r.schedule.name != plan.schedule), None)
    if other is None:
        return "  no other schedule admits this p and m"
    change, held = other.seconds / mine.seconds - 1.0, other.in_flight / mine.in_flight
    return f"  next: {other.schedule.name}, {change:+.1%} pipeline time, {held:.2g} times the activations on rank 0"


def sensitivity(ranked: Ranked) -> list[tuple[str, OnePlan]]:
    """Neighbours of a plan in m, p and v that split the same batch over the same accelerators."""
    plan, layers = ranked.plan, ranked.job.model.layers
    near = [("as planned", plan)]
    if plan.m % 2 == 0:
        near.append(("m / 2, b * 2", replace(plan, m=plan.m // 2, b=plan.b * 2)))
    if plan.b % 2 == 0:
        near.append(("m * 2, b / 2", replace(plan, m=plan.m * 2, b=plan.b // 2)))
    if plan.pp % 2 == 0 and plan.v == 1:
        near.append(("p / 2, dp * 2", replace(plan, pp=plan.pp // 2, dp=plan.dp * 2, m=plan.m // 2, head=0)))
    if plan.dp % 2 == 0 and plan.v == 1 and 2 * plan.pp <= layers:
        near.append(("p * 2, dp / 2", replace(plan, pp=plan.pp * 2, dp=plan.dp // 2, m=plan.m * 2, head=0)))
    near += [
        (f"v = {v}", replace(plan, v=v, schedule=run_by(MEGATRON, v), head=0)) for v in _chunk_counts(plan, layers)
    ]
    return [(name, p) for name, p in near if p.m >= 1 and (p.v == 1 or p.m % p.pp == 0)]


def _chunk_counts(plan: OnePlan, layers: int) -> list[int]:
    """Other numbers of chunks that divide every rank's layers."""
    if plan.pp == 1 or not runs(MEGATRON, plan.schedule):
        return []
    held = layers_per_rank(layers, plan.pp, 0)
    return [v for v in (1, 2, 4, 5, 8, 10) if v != plan.v and all(n % v == 0 and n >= v for n in held)][:3]


def sensitivity_lines(ranked: Ranked) -> list[str]:
    """Step time, bubble and memory of the neighbours."""
    if ranked.plan.pp == 1:
        return []
    lines = ["", "SENSITIVITY to m, p and v (the rest unchanged)"]
    for name, plan in sensitivity(ranked):
        result = estimate(ranked.job, plan)
        need = float(result.memory.total)
        fits = "" if need <= ranked.capacity else f"   short by {format_bytes(need - ranked.capacity)}"
        lines.append(
            f"  {name:<16} step {format_seconds(float(result.time.total)):>9}   bubble "
            f"{float(result.time.bubble_fraction):6.2%}   {format_bytes(need):>9}{fits}"
        )
    return lines
