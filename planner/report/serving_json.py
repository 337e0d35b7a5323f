"""Deployments as versioned JSON: SI numbers with the unit in the key, inputs and assumptions echoed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from planner import __version__
from planner.frozen import picked
from planner.questions.serve import ServeAnswer, ServeQuestion
from planner.report.jsonout import inputs_of, rule
from planner.report.serving_words import by_class, capped, gpus_of, rejected
from planner.schema.serving import ServeWorkload
from planner.serving.choose import Rejected
from planner.serving.disaggregate import Pools
from planner.serving.job import ServeJob
from planner.serving.options import Option, per_gpu

if TYPE_CHECKING:
    from planner.documents import serving as form


def serving(answer: ServeAnswer, assumptions: tuple[str, ...], top: int) -> form.Serving:
    """The whole answer."""
    job = answer.question.job
    return {
        "schema": "planner.serving/1",
        "planner_version": __version__,
        "inputs": inputs(answer.question),
        "assumptions": list(assumptions),
        "fits_as_requested": bool(answer.choice.ranked),
        "search": {"deployments": answer.choice.options, "seconds": answer.seconds},
        "deployments": [
            {**option(job, o, n), "same": [degrees(other) for other in alike]}
            for n, (o, alike) in enumerate(zip(answer.choice.ranked[:top], answer.choice.alike, strict=False), start=1)
        ],
        "rule": rule(answer.rule),
        "rejected": [miss(job, r) for r in answer.choice.rejected],
        "cures": list(answer.cures),
        "lowest_latency": None if answer.latency is None else option(job, answer.latency, 1),
        "highest_offline_throughput": None if answer.offline is None else option(job, answer.offline, 1),
        "disaggregated": None if answer.pools is None else pools(job, answer.pools, answer.fewest),
        "pareto_front": [
            {**degrees(o), "users": float(o.users), "tokens_per_s_per_user": user, "tokens_per_s_per_gpu": gpu}
            for o, user, gpu in zip(answer.front.options, answer.front.per_user, answer.front.per_gpu, strict=True)
        ],
    }


def inputs(q: ServeQuestion) -> form.Inputs:
    """What was asked, with every default filled in."""
    job = q.job
    return {
        **inputs_of(job.model, job.cluster),
        "workload": {
            **load(job.workload),
            "image_tokens": job.image_tokens,
            "weights_by_class": by_class(job),
            "weights_of_checkpoint": job.native,
            "batch": q.together,
        },
        "engine": job.engine.name,
        "objective": q.objective,
    }


def load(w: ServeWorkload) -> form.Load:
    """The requests, and what is asked of them."""
    names = "input output prefix images image_size weights kv users statistic ttft_s=ttft tpot_s=tpot"
    return cast("form.Load", picked(w, f"{names} requests_per_s=rate"))


def option(job: ServeJob, o: Option, number: int) -> form.Deployment:
    """One deployment of a ranking."""
    return cast("form.Deployment", {"rank": number, **deployed(job, o)})


def deployed(job: ServeJob, o: Option) -> form.Served:
    """One deployment with its numbers."""
    own = {
        "gpus": gpus_of(o),
        "most_is": "engine" if capped(job, o) else "cache",
        "mean_tpot_parts_s": {name: float(part) for name, part in o.step.parts.items()},
        "tokens_per_s_per_gpu": float(per_gpu(o, job.workload.output)),
        "memory_bytes": {name: float(part) for name, part in o.memory.parts.items()} | {"total": float(o.memory.total)},
    }
    return cast("form.Served", degrees(o) | picked(o, SERVED, **own))


SERVED = """
gpus users running_per_replica=served.running most_per_replica=most most_is ttft_s=ttft encoder_s=served.encoder
tpot_s=tpot mean_tpot_parts_s tokens_per_s_per_user=per_user tokens_per_s_per_gpu requests_per_s=served.requests
memory_bytes usable_memory_bytes=capacity kv_tokens_per_replica=kv_tokens
"""
"""Fields of a deployment in JSON behind its layout, in order."""


def degrees(o: Option) -> form.Degrees:
    """The layout."""
    return {"tp": int(o.plan.tp), "ep": int(o.plan.ep), "pp": int(o.plan.pp), "dp": int(o.plan.dp)}


def miss(job: ServeJob, r: Rejected) -> form.Rejected:
    """A layout that fails: what it breaks, by how much, in words and numbers."""
    names = "breaks short_by_bytes=option.short ttft_s=option.ttft tpot_s=option.tpot says"
    return cast("form.Rejected", degrees(r.option) | picked(r, names, says=rejected(job, r)))


def pools(job: ServeJob, found: Pools, fewest: Option | None) -> form.Pools:
    """Both pools, and how many GPUs a deployment without them takes for the same rate."""
    own = {
        "prefill": picked(found.prefill, INSTANCES),
        "decode": picked(found.decode, f"{INSTANCES} requests_each", requests_each=found.running),
        "gpus": int(found.gpus),
        "gpus_without_pools": None if fewest is None else gpus_of(fewest),
        "tokens_per_s_per_gpu": found.requests * job.workload.output / found.gpus,
    }
    names = "prefill decode gpus gpus_without_pools ttft_s=ttft tpot_s=tpot transfer_s=transfer requests_per_s=requests"
    return cast("form.Pools", picked(found, f"{names} tokens_per_s_per_gpu", **own))


INSTANCES = "tp ep pp instances=dp"
