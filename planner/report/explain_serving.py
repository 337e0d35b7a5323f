"""Every number of one deployment: the same lines as of a training plan (`planner.report.explain`)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from planner import __version__
from planner.formula import Trace, Traced, fact, tracing
from planner.report.explain import Line, as_data, grouped, lines_of, root, whole
from planner.report.facts import traced_plan, traced_record
from planner.report.grid import READABLE
from planner.report.jsonout import inputs_of
from planner.report.serving_json import degrees
from planner.report.serving_words import DEFINITIONS, layout, users
from planner.serving.job import ServeJob, at_batch
from planner.serving.memory import kv_tokens, memory, most_running, room
from planner.serving.objective import OBJECTIVES
from planner.serving.options import Option, per_gpu, rated
from planner.serving.queueing import Served, loaded, offline, opened

if TYPE_CHECKING:
    from planner.documents.serving import ServingExplanation

LOAD = ("input", "output", "prefix", "images", "rate", "users")
"""Numbers of a workload."""

RUNNING = "fixed point of requests in flight = requests per second * seconds in the system (Little 1961)"


def explanation(job: ServeJob, option: Option, objective: str) -> list[Line]:
    """All lines of one deployment: what its memory, its times and its throughput rest on."""
    with tracing() as trace:
        roots = _roots(trace, _traced(job), option, objective)
    return lines_of(trace, roots, job.structure)


def _traced(job: ServeJob) -> ServeJob:
    """The job with facts for the numbers of its cluster, engine and requests; the model's shape stays plain."""
    w = job.workload
    load = {name: fact(value, name) for name in LOAD if (value := getattr(w, name)) is not None}
    return replace(
        job,
        cluster=traced_record(job.cluster, "", "", "datasheet"),
        engine=traced_record(job.engine, "engine_", "", "assumed"),
        workload=w.model_copy(update=load),
    )


def _served(job: ServeJob, option: Option, objective: str) -> Served:
    """What users see, evaluated once more; the number of requests that run under a rate is found by iteration."""
    plan = traced_plan(option.plan)
    if OBJECTIVES[objective].load == "endless":
        return offline(job, plan)
    if job.workload.rate is None:
        return loaded(job, plan)
    inside = fact(float(option.served.running), "requests that run", "requests", RUNNING)
    return opened(job, plan, job.workload.rate, inside)


def _roots(trace: Trace, job: ServeJob, option: Option, objective: str) -> dict[str, list[Traced]]:
    """What is explained, by the group in which it lies."""
    result, plan = partial(root, trace), traced_plan(option.plan)
    kept = memory(job, at_batch(plan, fact(float(option.served.running), "requests that run", "requests", RUNNING)))
    held = [one for name, part in kept.parts.items() for one in result(part, name, "bytes", "planner.serving.memory")]
    fixed = kept.weights + kept.activations + kept.reserve
    held += result(kept.total, "held by the fullest rank", "bytes", "sum of the parts")
    held += result(fixed + room(job, fixed), "usable memory", "bytes", job.engine.source)
    held += result(kv_tokens(job, plan), "KV tokens", "tokens", "planner.serving.memory")
    held += result(most_running(job, plan), "most requests", "requests", "planner.serving.memory")
    served = _served(job, option, objective)
    time = result(served.tpot, "mean TPOT", "s", "sum of the parts")
    time += result(served.ttft, "mean TTFT", "s", "planner.serving.queueing")
    speeds = result(served.requests, "requests per second", "1/s", "Little 1961")
    seen = rated(job, plan, replace(served, tpot=time[0], ttft=time[1], requests=speeds[0]), False)
    time += [one for name in ("tpot", "ttft") for one in result(getattr(seen, name), name.upper(), "s", "MLPerf 4.1")]
    speeds += result(per_gpu(seen, job.workload.output), "tokens per second and GPU", "1/s", DEFINITIONS[1])
    speeds += result(seen.per_user, "tokens per second and user", "1/s", DEFINITIONS[1])
    return {"parameters": whole(trace, job.model), "memory": held, "time": time, "throughput": speeds}


def text(job: ServeJob, option: Option, lines: list[Line], width: int | None = None) -> list[str]:
    """The lines for people."""
    head = f"{job.model.name} on {job.cluster.gpus:,} × {job.cluster.accelerator.name}, {job.engine.name}"
    return [f"{head}: {layout(option)}, {users(option)}", *grouped(lines, min(width or READABLE, READABLE))]


def document(job: ServeJob, option: Option, number: int, lines: list[Line]) -> ServingExplanation:
    """The same as JSON."""
    return {
        "schema": "planner.serving-explanation/1",
        "planner_version": __version__,
        "inputs": {**inputs_of(job.model, job.cluster), "engine": job.engine.name},
        "deployment": {"rank": number, **degrees(option), "users": float(option.users)},
        "lines": as_data(lines),
    }
