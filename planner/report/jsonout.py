"""Answers as versioned JSON: SI numbers with the unit in the key, inputs and assumptions echoed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from planner import __version__
from planner.bands import band, fit_verdict, memory_band, memory_range
from planner.blocks.counts import active_parameters, parameters
from planner.catalog.clusters import cluster_spec
from planner.frozen import picked
from planner.questions.thumbs import THUMBS, Decided
from planner.questions.train import Ranked, Recommendation
from planner.report.explain import Line, as_data
from planner.report.words import largest_part, moment
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.stages import layers_per_chunk
from planner.training.job import Job
from planner.training.layouts import layout_string
from planner.training.moments import MOMENTS
from planner.training.space import recompute_name

if TYPE_CHECKING:
    from planner.documents import asked, training

NOT_SHAPE = {"aliases", "default_for", "parameters", "parameters_active"}
"""Fields of a model's profile that say nothing about its shape."""


def write(answer: Mapping[str, Any]) -> str:
    """The text of an answer; stable key order, one trailing newline."""
    return json.dumps(answer, indent=2, allow_nan=False) + "\n"


def recommendation(answer: Recommendation, assumptions: tuple[str, ...]) -> training.Ranking:
    """The whole answer."""
    return {
        "schema": "planner.recommendation/1",
        "planner_version": __version__,
        **outcome(answer, assumptions),
        "not_tried": [{"what": what, "option": option} for what, option in answer.untried],
        "search": cast("training.Search", picked(answer, "plans feasible seconds broken_rules=broken")),
        "plans": [plan(ranked, n) for n, ranked in enumerate(answer.ranked, start=1)],
        "rule": rule(answer.rule),
        "nearest_misses": [
            {
                **plan(ranked, n),
                "short_by_bytes": ranked.need - ranked.capacity,
                "binding_constraint": f"memory.{largest_part(ranked)}",
            }
            for n, ranked in enumerate(answer.misses, start=1)
        ],
        "relaxations_not_tried": answer.dropped,
        "cures": list(answer.cures),
    }


def outcome(answer: Recommendation, assumptions: tuple[str, ...]) -> training.Outcome:
    """What was asked, and whether it fits."""
    own = {"inputs": inputs(answer.job), "assumptions": list(assumptions), "loosened": loosened(answer)}
    names = "inputs assumptions fits_as_requested=fits smallest_cluster_gpus=smallest smallest_cluster_reason loosened"
    found = picked(
        answer, f"{names} usable_memory_bytes=capacity", smallest_cluster_reason=answer.larger.why or None, **own
    )
    return cast("training.Outcome", found)


def loosened(answer: Recommendation) -> training.Loosened | None:
    """The pins that stood in the way and the best plan without them."""
    found = answer.loosened
    return None if found is None else {"without": list(found.pins), "plan": plan(found.ranked, 1)}


def rule(found: Decided | None) -> asked.Rule | None:
    """The rule of thumb that decided the first, if one did."""
    if found is None:
        return None
    return {"name": found.rule, "says": THUMBS[found.rule].holds, "without": found.without, "costs_share": found.slower}


def inputs(job: Job) -> asked.Inputs:
    """What was planned for, with every default filled in."""
    return {
        **inputs_of(job.model, job.cluster),
        "workload": job.workload.model_dump(mode="json"),
        "framework": job.framework.name,
        "memory_margin": job.margin,
    }


def inputs_of(model: Model, cluster: Cluster) -> asked.Machine:
    """The model and the cluster."""
    return {
        "model": {
            "name": model.name,
            "parameters": int(parameters(model).total),
            "active_parameters": active_parameters(model),
            "source": model.source,
            "profile": model.model_dump(mode="json", exclude_defaults=True, exclude=NOT_SHAPE),
        },
        "cluster": cast("asked.Cluster", picked(cluster, CLUSTER, spec=cluster_spec(cluster))),
    }


CLUSTER = """
spec accelerator=accelerator.name node=node.name nodes gpus_per_node=used gpus memory_bytes=accelerator.memory
scaleup_domain=domain scaleup_bytes_per_s=scaleup.rate network_bytes_per_s=network.rate
"""


def plan(ranked: Ranked, number: int) -> training.Plan:
    """One plan of a ranking."""
    given_up, preset = list(ranked.relaxations), ranked.job.framework.name
    return {"rank": number, **layout(ranked), "relaxations": given_up, "framework": preset}


def layout(ranked: Ranked) -> training.Layout:
    """One plan with its numbers."""
    p, time, memory = ranked.plan, ranked.estimate.time, ranked.estimate.memory
    name, found, ends = recompute_name(ranked.job, p), band(ranked.job, p), memory_range(ranked.job, ranked.need)
    own = {
        "sequence_parallel": bool(p.sp),
        "recompute": name if p.recompute_layers == 0 or name == "full" else "block",
        "layout": None if p.layout is None else layout_string(p.layout),
        "layers_per_rank": list(map(sum, layers_per_chunk(ranked.job.model.layers, p))),
        "step_time_band": found.width,
        "band_reason": found.reason,
        "step_time_parts_s": {name: float(part) for name, part in time.parts.items()},
        "pipeline_replayed_s": ranked.replay[0] if ranked.replay else None,
        "pipeline_closed_form_s": ranked.replay[1] if ranked.replay else None,
        "memory_bytes": {name: float(part) for name, part in memory.parts.items()} | {"total": ranked.need},
        "allocated_bytes": ranked.need - float(memory.reserve),
        "reserved_bytes": ranked.need - ranked.job.framework.reserve,
        "headroom_bytes": ranked.capacity - ranked.need,
        "fullest_rank": int(ranked.estimate.rank),
        "fullest_moment": moment(ranked),
        "memory_band": None if ends is None else {"low_bytes": ends[0], "high_bytes": ends[1]},
        "memory_band_reason": memory_band(ranked.job).reason,
        "verdict": fit_verdict(ranked.job, ranked.need, ranked.capacity),
        "moments_bytes": dict(zip(MOMENTS, map(float, ranked.estimate.moments), strict=True)),
    }
    return cast("training.Layout", picked(ranked, LAYOUT, **own))


LAYOUT = """
tp=plan.tp cp=plan.cp ep=plan.ep etp=plan.etp pp=plan.pp v=plan.v dp=plan.dp dp_replicate=plan.dp_replicate
micro_batch=plan.b micro_batches=plan.m sequence_parallel zero=plan.zero schedule=plan.schedule recompute
recompute_layers=plan.recompute_layers recompute_modules=plan.modules dispatcher=plan.dispatcher
expert_overlap=plan.overlap head_layers=plan.head layout layers_per_rank optimizer=job.workload.optimizer
method=job.workload.method offload=job.workload.offload offload_layers=job.workload.offload_layers
offload_modules=job.workload.offload_modules step_time_s=step_time step_time_band band_reason step_time_parts_s
pipeline_replayed_s pipeline_closed_form_s tokens_per_second mfu bubble_fraction=estimate.time.bubble_fraction
bubble_overhead=estimate.time.bubble_overhead memory_bytes allocated_bytes reserved_bytes headroom_bytes fullest_rank
fullest_moment memory_band memory_band_reason verdict moments_bytes
"""
"""Fields of a plan in JSON, in order."""


def explained(ranked: Ranked, number: int, lines: list[Line], assumptions: tuple[str, ...]) -> training.Explanation:
    """One plan with every number's formula, numbers and source."""
    return {
        "schema": "planner.explanation/1",
        "planner_version": __version__,
        "inputs": inputs(ranked.job),
        "assumptions": list(assumptions),
        "plan": plan(ranked, number),
        "lines": as_data(lines),
    }
