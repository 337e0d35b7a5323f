"""Deployments as versioned JSON: SI numbers with the unit in the key, inputs and assumptions echoed."""

from __future__ import annotations

from typing import Any

from planner import __version__
from planner.questions.serve import ServeAnswer
from planner.report.jsonout import inputs_of, rule
from planner.report.serving_words import by_class, capped, gpus_of, rejected
from planner.serving.choose import Rejected
from planner.serving.disaggregate import Pools
from planner.serving.job import ServeJob
from planner.serving.options import Option, per_gpu

SCHEMA = "planner.serving/1"


def serving(answer: ServeAnswer, assumptions: tuple[str, ...], top: int) -> dict[str, Any]:
    """The whole answer."""
    q, job = answer.question, answer.question.job
    w = job.workload.model_dump(mode="json") | {"weights_by_class": by_class(job), "weights_of_checkpoint": job.native}
    seconds = {f"{name}_s": w.pop(name) for name in ("ttft", "tpot")} | {"requests_per_s": w.pop("rate")}
    return {
        "schema": SCHEMA,
        "planner_version": __version__,
        "inputs": inputs_of(job.model, job.cluster)
        | {"workload": w | seconds | {"batch": q.together}, "engine": job.engine.name, "objective": q.objective},
        "assumptions": list(assumptions),
        "fits_as_requested": bool(answer.choice.ranked),
        "search": {"deployments": answer.choice.options, "seconds": answer.seconds},
        "deployments": [
            option(job, o, n) | {"same": [degrees(other) for other in alike]}
            for n, (o, alike) in enumerate(zip(answer.choice.ranked[:top], answer.choice.alike, strict=False), start=1)
        ],
        "rule": rule(answer.rule),
        "rejected": [miss(job, r) for r in answer.choice.rejected],
        "cures": list(answer.cures),
        "lowest_latency": None if answer.latency is None else option(job, answer.latency, 1),
        "highest_offline_throughput": None if answer.offline is None else option(job, answer.offline, 1),
        "disaggregated": None if answer.pools is None else pools(job, answer.pools, answer.fewest),
        "pareto_front": [
            degrees(o) | {"users": float(o.users), "tokens_per_s_per_user": user, "tokens_per_s_per_gpu": gpu}
            for o, user, gpu in zip(answer.front.options, answer.front.per_user, answer.front.per_gpu, strict=True)
        ],
    }


def option(job: ServeJob, o: Option, number: int) -> dict[str, Any]:
    """One deployment with its numbers."""
    served = o.served
    return {
        "rank": number,
        **degrees(o),
        "gpus": gpus_of(o),
        "users": float(o.users),
        "running_per_replica": float(served.running),
        "most_per_replica": float(o.most),
        "most_is": "engine" if capped(job, o) else "cache",
        "ttft_s": float(o.ttft),
        "tpot_s": float(o.tpot),
        "mean_tpot_parts_s": {name: float(part) for name, part in o.step.parts.items()},
        "tokens_per_s_per_user": float(o.per_user),
        "tokens_per_s_per_gpu": float(per_gpu(o, job.workload.output)),
        "requests_per_s": float(served.requests),
        "memory_bytes": {name: float(part) for name, part in o.memory.parts.items()} | {"total": float(o.memory.total)},
        "usable_memory_bytes": float(o.capacity),
        "kv_tokens_per_replica": float(o.kv_tokens),
    }


def degrees(o: Option) -> dict[str, int]:
    """The layout."""
    return {name: int(getattr(o.plan, name)) for name in ("tp", "ep", "pp", "dp")}


def miss(job: ServeJob, r: Rejected) -> dict[str, Any]:
    """A layout that fails: what it breaks, by how much, in words and numbers."""
    return {
        **degrees(r.option),
        "breaks": r.breaks,
        "short_by_bytes": float(r.option.short),
        "ttft_s": float(r.option.ttft),
        "tpot_s": float(r.option.tpot),
        "says": rejected(job, r),
    }


def pools(job: ServeJob, found: Pools, fewest: Option | None) -> dict[str, Any]:
    """Both pools, and how many GPUs a deployment without them takes for the same rate."""
    prefill, decode = found.prefill, found.decode
    return {
        "prefill": {"tp": prefill.tp, "ep": prefill.ep, "pp": prefill.pp, "instances": prefill.dp},
        "decode": {"tp": decode.tp, "ep": decode.ep, "pp": decode.pp, "instances": decode.dp}
        | {"requests_each": found.running},
        "gpus": int(found.gpus),
        "gpus_without_pools": None if fewest is None else gpus_of(fewest),
        "ttft_s": found.ttft,
        "tpot_s": found.tpot,
        "transfer_s": found.transfer,
        "requests_per_s": found.requests,
        "tokens_per_s_per_gpu": found.requests * job.workload.output / found.gpus,
    }
