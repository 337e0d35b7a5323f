"""Options that are given and change nothing of the job that they are given for."""

from __future__ import annotations

from collections.abc import Iterator

from planner.schema.workload import Workload
from planner.training.job import Job
from planner.training.space import Bounds, searches_context


def idle(job: Job, bounds: Bounds) -> Iterator[str]:
    """A sentence for each of them."""
    work = job.workload
    if job.model.moe is None and (of_experts := _of_experts(work, bounds)):
        yield f"{job.model.name} has no experts: nothing comes of {', '.join(of_experts)}"
    if work.context is not None and not searches_context(job, bounds):
        yield f"nothing comes of --cp-comm {work.context} without --cp: the context parallel degree is 1"
    if work.offload_layers and work.offload != "activations":
        yield f"nothing comes of --offload-layers {work.offload_layers} without --offload activations"


def _of_experts(work: Workload, bounds: Bounds) -> list[str]:
    """Options of experts that differ from what is taken where none is given."""
    given = {
        "--imbalance": work.imbalance != 1.0,
        "--capacity-factor": work.capacity is not None,
        "--dispatcher": bounds.dispatchers is not None,
        "--offload-modules moe_act": "moe_act" in work.offload_modules,
        "--offload-modules expert_fc1": "expert_fc1" in work.offload_modules,
    }
    return [name for name, there in given.items() if there]
