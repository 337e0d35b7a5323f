"""What the experts of a plan must obey: their ranks, how tokens reach them, and what may hide that."""

from __future__ import annotations

import numpy as np

from planner.masks import divides
from planner.plan import Plan, Truth
from planner.training.job import Job
from planner.training.policies import dispatcher_runs, overlap_runs
from planner.training.rule import MEGATRON, Rule


def _experts(job: Job, plan: Plan) -> Truth:
    return True if job.model.moe is None else divides(plan.ep, job.model.moe.experts)


def _expert_ranks(job: Job, plan: Plan) -> Truth:
    ranks = np.asarray(plan.dp) // plan.dp_replicate * plan.cp * plan.tp
    return divides(plan.ep * plan.etp, ranks)


EXPERT_RULES: tuple[Rule, ...] = (
    Rule(
        "dense",
        lambda j, p: (j.model.moe is not None) | ((p.ep == 1) & (p.etp == 1) & (not p.overlap)),
        "{model} has no experts: ep and etp must be 1, not {ep} and {etp}, and none of their traffic is overlapped",
        f"{MEGATRON} training/arguments.py",
    ),
    Rule("experts", _experts, "ep={ep} does not divide the {experts} experts", f"{MEGATRON} training/arguments.py"),
    Rule(
        "expert_ranks",
        _expert_ranks,
        "ep*etp = {ep}*{etp} does not divide dp*cp*tp/dp_replicate = {dp}*{cp}*{tp}/{dp_replicate}",
        f"{MEGATRON} core/parallel_state.py",
    ),
    Rule(
        "expert_split",
        lambda j, p: True if j.model.moe is None else divides(p.etp, j.model.moe.ffn),
        "etp={etp} does not divide the experts' width {expert_ffn}",
        f"{MEGATRON} core/transformer/moe/experts.py",
    ),
    Rule(
        "dispatcher",
        lambda j, p: p.dispatcher in j.framework.dispatchers,
        "{framework} has no dispatcher {dispatcher}; it has {dispatchers}",
        "framework preset",
    ),
    Rule(
        "dispatcher_links",
        dispatcher_runs,
        "{dispatcher} needs accelerators from Hopper and MI300 on that NVLink or xGMI joins",
        "DeepEP README.md",
    ),
    Rule(
        "framework_overlap",
        lambda j, p: (not p.overlap) | (j.framework.expert_overlap > 0),
        "{framework} does not overlap expert traffic with another micro-batch",
        "framework preset",
    ),
    Rule(
        "expert_overlap",
        lambda j, p: (not p.overlap) | overlap_runs(p),
        "overlapped expert traffic needs ep > 1, v > 1 in a pipeline, a dispatcher other than allgather, and "
        "recomputation of neither whole layers nor moe; ep={ep}, pp={pp}, v={v}, k={recompute_layers}",
        f"{MEGATRON} core/transformer/transformer_config.py",
    ),
)
