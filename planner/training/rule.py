"""A rule: a named mask over plans, and the sentence that says which numbers break it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from planner.blocks.counts import active_parameters, parameters
from planner.blocks.structure import beyond_attention
from planner.frozen import frozen
from planner.plan import Num, Plan, Truth, divisors
from planner.schedules import SCHEDULES, offered
from planner.training.adapters import all_adapters
from planner.training.job import Job
from planner.training.memory import state_bytes
from planner.training.moments import offloaded_activations
from planner.training.policies import recomputable
from planner.units import format_bytes

MEGATRON = "Megatron-LM"


@frozen
class Rule:
    """A condition on plans.

    Attributes:
        name: as shown to users and in JSON.
        holds: (job, plan) -> bool or array of bool, true where the plan obeys.
        says: a sentence with the job's and the plan's numbers as {placeholders}.
        source: where a framework enforces it, or the reason when it is arithmetic.
        update: whether it asks how weights are updated: the optimizer, what is offloaded.
    """

    name: str
    holds: Callable[[Job, Plan], Truth]
    says: str
    source: str
    update: bool = False

    def message(self, job: Job, plan: Plan) -> str:
        """The sentence for one plan."""
        return self.says.format(**_numbers(job, plan))


def _numbers(job: Job, plan: Plan) -> dict[str, Any]:
    """Everything a rule's sentence may name."""
    model, moe = job.model, job.model.moe
    return (
        plan.degrees
        | dict(job.workload)
        | {
            "gpus": f"{job.cluster.gpus} GPU{'s' * (job.cluster.gpus > 1)}",
            "heads": model.heads,
            "kv_heads": model.kv_heads,
            "hidden": model.hidden,
            "ffn": model.ffn,
            "layers": model.layers,
            "experts": moe.experts if moe else 0,
            "expert_ffn": moe.ffn if moe else 0,
            "worth": head_worth(job),
            "batch": job.workload.global_batch,
            "framework": job.framework.name,
            "context": job.contexts[0],
            "modules": ", ".join(plan.modules),
            "recomputable": ", ".join(recomputable(job)) or "nothing",
            "dispatchers": ", ".join(job.framework.dispatchers),
            "schedules": ", ".join(offered(job.framework.schedules)),
            "required": _required(plan),
            "stages": ", ".join(map(str, job.framework.zero)),
            "deepest": job.framework.zero_with_pipeline,
            "host_need": format_bytes(float(np.max(host_bytes(job, plan)))),
            "host_has": format_bytes(job.cluster.node.host_memory or 0.0),
            "node": job.cluster.node.name,
            **{name: getattr(job.workload, name) for name in ("method", "offload", "loss", "graphs")},
            "model": job.model.name,
            "beyond": beyond_attention(job.model),
            "divisors": ", ".join(map(str, divisors(job.cluster.gpus))),
            "legal_tp": ", ".join(map(str, divisors(math.gcd(model.heads, job.cluster.gpus)))),
        }
    )


def _required(plan: Plan) -> str:
    """The first requirement of its schedule, or of a framework that runs it, that one plan breaks, with its source."""
    schedule, counts = SCHEDULES[plan.schedule], (plan.pp, plan.m, plan.v)
    for wanted in (*schedule.requirements, *schedule.demands.values()):
        if not np.all(wanted.holds(*counts)):
            return f"{wanted.message.format(p=plan.pp, m=plan.m, v=plan.v)} ({wanted.source})"
    return "it is for several chunks on several ranks"


def head_worth(job: Job) -> int:
    """The LM head in layers, rounded up: 2 for Llama 3 70B, 5 for Llama 3.2 1B.

    At most MOST_HEAD: a head that is worth more leaves its rank without layers all the same.
    """
    return min(math.ceil(head_layers(job)), MOST_HEAD)


def head_layers(job: Job) -> float:
    """The LM head in layers, by parameters that a token meets."""
    share = parameters(job.model)
    met = active_parameters(job.model) - share.embedding - share.head - share.norms
    return float(job.model.vocab * job.model.hidden / (met / job.model.layers))


MOST_HEAD = 64
"""Layers that a head counts for at most; 12 is the most of a published model (Gemma 3 1B)."""


def host_bytes(job: Job, plan: Plan) -> Num:
    """Host memory per node of what is offloaded: activations, or each rank's share of states, a copy without ZeRO."""
    each, away = state_bytes(job), job.workload.offload
    kept = {"optimizer": HOST_BYTES, "parameters": HOST_BYTES + each.gathered}.get(away, 0.0)
    kept = each.moments if each.paged and not kept else kept
    trained = all_adapters(job) if job.lora else parameters(job.model).total
    sharded: Num = np.where(np.asarray(plan.zero) >= 1, plan.dp * plan.cp, 1)
    states = kept * trained / (plan.tp * plan.pp * sharded)
    return job.cluster.used * (states + offloaded_activations(job, plan) if away == "activations" else states)


HOST_BYTES = 16.0
"""Host bytes per parameter of an offloaded Adam: fp32 gradient, master weight and two moments, as DeepSpeed counts in
runtime/zero/stage_1_and_2.py, estimate_zero2_model_states_mem_needs."""
