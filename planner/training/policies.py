"""What holds for a whole batch of plans: recomputed modules, dispatcher, overlap of expert traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

from planner.cost.dispatch import ONE_COPY
from planner.cost.recompute import LIGHT
from planner.plan import Plan, Truth
from planner.training.job import Job

if TYPE_CHECKING:
    from planner.training.space import Bounds

RACK = 8
"""Accelerators above which a scale-up domain is a rack, for which HybridEP is made."""


RECOMPUTE = ("none", "selective", "full", "block")
"""Names of recomputation policies."""


class Policy(TypedDict):
    """Fields of Plan that all plans of a batch share."""

    modules: tuple[str, ...]
    dispatcher: str
    overlap: bool


def policies(job: Job, bounds: Bounds) -> Iterator[Policy]:
    """Those that the bounds admit."""
    for modules in module_sets(job, bounds):
        for dispatcher in dispatchers(job, bounds):
            for overlap in overlaps(job, bounds):
                yield {"modules": modules, "dispatcher": dispatcher, "overlap": overlap}


def module_sets(job: Job, bounds: Bounds) -> list[tuple[str, ...]]:
    """Sets of modules to recompute: none; the attention core with stored scores; what is cheap; or what is asked."""
    asked = bounds.recompute
    nothing: list[tuple[str, ...]] = [()] if asked is None or asked - {"selective"} else []
    if asked is not None and "selective" not in asked:
        return nothing
    if bounds.modules is not None:
        return [*nothing, bounds.modules]
    core: list[tuple[str, ...]] = [] if job.flash else [("core_attn",)]
    cheap = [light] if (light := light_modules(job)) else []
    return [*nothing, *(core + cheap or ([("core_attn",)] if asked else []))]


def light_modules(job: Job) -> tuple[str, ...]:
    """Modules of this model that the framework recomputes for next to no time."""
    return tuple(name for name in LIGHT if name in recomputable(job))


def recomputable(job: Job) -> tuple[str, ...]:
    """Modules that the framework recomputes and the model has; norms before dense parts are one with their products."""
    model, moe = job.model, job.model.moe
    there = {
        "mla_up_proj": model.mla is not None,
        "layernorm": model.mla is not None or moe is not None,
        "moe_act": moe is not None,
        "moe": moe is not None,
        "mlp": moe is None or moe.dense_layers > 0 or moe.every > 1,
        "shared_experts": moe is not None and moe.shared_width > 0,
    }
    return tuple(name for name in job.framework.recompute_modules if there.get(name, True))


def dispatchers(job: Job, bounds: Bounds) -> list[str]:
    """Dispatchers that are tried: those asked for, else the one that is fastest on these accelerators."""
    if job.model.moe is None:
        return ["alltoall"]
    return sorted(bounds.dispatchers) if bounds.dispatchers else [usual_dispatcher(job)]


def usual_dispatcher(job: Job) -> str:
    """HybridEP inside a rack, DeepEP elsewhere on NVIDIA's switches, where the framework has them."""
    offered = job.framework.dispatchers
    if not one_copy(job) or job.cluster.accelerator.vendor != "nvidia":
        return offered[0]
    wanted = "hybridep" if job.cluster.domain > RACK else "deepep"
    return wanted if wanted in offered else offered[0]


def one_copy(job: Job) -> bool:
    """Whether dispatchers that forward inside a node run here: from Hopper and MI300 on, joined without PCIe."""
    link = job.cluster.scaleup
    return job.cluster.accelerator.peak.fp8 is not None and link is not None and link.kind in ("switch", "mesh")


def overlaps(job: Job, bounds: Bounds) -> list[bool]:
    """Whether expert traffic runs beside another micro-batch: both, where the framework can; else not unless asked."""
    can = job.model.moe is not None and job.framework.expert_overlap > 0
    tried = (0, 1) if can or "expert_overlap" in bounds.ranges else (0,)
    return [bool(one) for one in bounds["expert_overlap"].keep(tried)]


def untried_policies(job: Job, bounds: Bounds) -> Iterator[tuple[str, str]]:
    """What of these the search leaves out, and the option that opens it."""
    if job.model.moe is not None and not bounds.dispatchers and len(job.framework.dispatchers) > 1:
        usual = usual_dispatcher(job)
        others = [name for name in job.framework.dispatchers if name != usual]
        yield f"dispatchers other than {usual}", f"--dispatcher {','.join(others)}"
    heavy = [name for name in recomputable(job) if name not in (*LIGHT, "core_attn")]
    if heavy and bounds.modules is None and bounds.recompute is None and job.model.moe is not None:
        yield f"recomputing {', '.join(heavy)} alone", f"--recompute-modules {heavy[0]}"
    if job.workload.offload == "none" and job.framework.target == "megatron":
        yield "activations in host memory", "--offload activations"


def overlap_runs(plan: Plan) -> Truth:
    """What the overlap of expert traffic needs: Megatron-LM core/transformer/transformer_config.py."""
    runs = (plan.ep > 1) & ((plan.pp == 1) | (plan.v > 1)) & (plan.recompute_layers == 0)
    return runs & (plan.dispatcher != "allgather" and "moe" not in plan.modules)


def dispatcher_runs(job: Job, plan: Plan) -> bool:
    """Whether the accelerators have what the dispatcher needs."""
    return plan.dispatcher not in ONE_COPY or one_copy(job)
