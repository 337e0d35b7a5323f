"""What a plan must obey, as named masks. "Why not?" is the first rule that a plan breaks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.architecture import active_parameters, parameters
from planner.plan import Plan, divisors
from planner.training.job import Job
from planner.training.memory import adapter_parameters
from planner.training.split import chunk_layers
from planner.units import format_bytes


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on plans.

    Attributes:
        name: as shown to users and in JSON.
        holds: (job, plan) -> bool or array of bool, true where the plan obeys.
        says: a sentence with the job's and the plan's numbers as {placeholders}.
        source: where a framework enforces it, or the reason when it is arithmetic.
    """

    name: str
    holds: Callable[[Job, Plan], Any]
    says: str
    source: str

    def message(self, job: Job, plan: Plan) -> str:
        """The sentence for one plan."""
        return self.says.format(**_numbers(job, plan))


def _numbers(job: Job, plan: Plan) -> dict[str, Any]:
    """Everything a rule's sentence may name."""
    model, moe = job.model, job.model.moe
    return plan.degrees | {
        "gpus": job.cluster.gpus,
        "heads": model.heads,
        "kv_heads": model.kv_heads,
        "hidden": model.hidden,
        "ffn": moe.ffn if moe else model.ffn,
        "layers": model.layers,
        "experts": moe.experts if moe else 0,
        "worth": head_worth(job),
        "seq": job.workload.seq,
        "batch": job.workload.global_batch,
        "framework": job.framework.name,
        "schedules": ", ".join(job.framework.schedules),
        "stages": ", ".join(map(str, job.framework.zero)),
        "deepest": job.framework.zero_with_pipeline,
        "host_need": format_bytes(float(np.max(host_bytes(job, plan)))),
        "host_has": format_bytes(job.cluster.node.host_memory or 0.0),
        "node": job.cluster.node.name,
        "divisors": ", ".join(map(str, divisors(job.cluster.gpus))),
        "legal_tp": ", ".join(str(t) for t in divisors(model.heads) if t <= job.cluster.gpus),
    }


def _divides(divisor: Any, number: Any) -> Any:
    return np.asarray(number) % divisor == 0


def _kv_heads(job: Job, plan: Plan) -> Any:
    return _divides(plan.tp, job.model.kv_heads) | _divides(job.model.kv_heads, plan.tp)


def _ffn(job: Job, plan: Plan) -> Any:
    widths = [job.model.ffn] if job.model.moe is None else [job.model.ffn, job.model.moe.ffn]
    return np.logical_and.reduce([_divides(plan.tp, width) for width in widths])


def _uneven(job: Job, plan: Plan) -> Any:
    return _divides(plan.pp * plan.v, job.model.layers) | job.framework.uneven_layers


def head_worth(job: Job) -> int:
    """The LM head in layers, by parameters that a token meets, rounded up: 2 for Llama 3 70B, 5 for Llama 3.2 1B."""
    share = parameters(job.model)
    met = active_parameters(job.model) - share.embedding - share.head - share.norms
    layer = met / job.model.layers
    return math.ceil(float(job.model.vocab * job.model.hidden / layer))


def _head(job: Job, plan: Plan) -> Any:
    movable = (plan.pp > 1) & (plan.v == 1) & job.framework.uneven_layers & (plan.head <= head_worth(job))
    return (plan.head == 0) | movable


def _chunks(job: Job, plan: Plan) -> Any:
    slots = plan.pp * plan.v
    missing = -(-job.model.layers // slots) * slots - job.model.layers
    return (plan.v == 1) | (missing <= 2)


def _experts(job: Job, plan: Plan) -> Any:
    return (plan.ep == 1) if job.model.moe is None else _divides(plan.ep, job.model.moe.experts)


def _expert_ranks(job: Job, plan: Plan) -> Any:
    return _divides(plan.ep, plan.dp * plan.cp)


def _moe_sp(job: Job, plan: Plan) -> Any:
    return (plan.tp == 1) | (plan.sp == 1) | (job.model.moe is None)


def _sequence(job: Job, plan: Plan) -> Any:
    return (plan.sp == 0) | _divides(plan.cp * plan.tp, job.workload.seq)


def _schedule_fits(job: Job, plan: Plan) -> Any:
    return (plan.v > 1) & (plan.pp > 1) if plan.schedule == "interleaved" else (plan.v == 1)


def _interleaved(job: Job, plan: Plan) -> Any:
    return (plan.schedule != "interleaved") | (_divides(plan.pp, plan.m) & (plan.m >= plan.pp))


def host_bytes(job: Job, plan: Plan) -> Any:
    """Host memory per node that offloaded states take: every rank's share, a copy each without ZeRO."""
    trained = job.model.layers * adapter_parameters(job, 1.0) if job.lora else parameters(job.model).total
    sharded = np.where(np.asarray(plan.zero) >= 1, plan.dp * plan.cp, 1)
    return job.cluster.used * HOST_BYTES * trained / (plan.tp * plan.pp * sharded)


def _host_memory(job: Job, plan: Plan) -> Any:
    limit = job.cluster.node.host_memory
    return True if job.workload.offload == "none" or limit is None else host_bytes(job, plan) <= limit


HOST_BYTES = 16.0
"""Host bytes per parameter of an offloaded Adam: fp32 gradient, master weight and two moments, as DeepSpeed counts in
runtime/zero/stage_1_and_2.py, estimate_zero2_model_states_mem_needs."""

MEGATRON = "Megatron-LM"
RULES: tuple[Rule, ...] = (
    Rule(
        "heads",
        lambda j, p: _divides(p.tp, j.model.heads),
        "tp={tp} does not divide the {heads} attention heads; legal: {legal_tp}",
        f"{MEGATRON} core/transformer/transformer_config.py",
    ),
    Rule(
        "kv_heads",
        _kv_heads,
        "tp={tp} neither divides nor is a multiple of the {kv_heads} key/value heads",
        f"{MEGATRON} core/transformer/transformer_config.py",
    ),
    Rule("hidden", lambda j, p: _divides(p.tp, j.model.hidden), "tp={tp} does not divide hidden {hidden}", MEGATRON),
    Rule(
        "ffn",
        _ffn,
        "tp={tp} does not divide the feed-forward width {ffn}",
        f"{MEGATRON} core/tensor_parallel/layers.py",
    ),
    Rule(
        "gpus",
        lambda j, p: p.gpus == j.cluster.gpus,
        "tp={tp} x cp={cp} x pp={pp} x dp={dp} does not make the {gpus} GPUs of the cluster (divisors: {divisors})",
        f"{MEGATRON} training/arguments.py",
    ),
    Rule(
        "sequence_parallel",
        lambda j, p: (p.sp == 0) | (p.tp > 1),
        "sequence parallelism needs tp > 1",
        f"{MEGATRON} core/model_parallel_config.py",
    ),
    Rule(
        "sequence_length",
        _sequence,
        "cp*tp = {cp}*{tp} does not divide the sequence of {seq}, as sequence parallelism needs",
        f"{MEGATRON} core/tensor_parallel/mappings.py",
    ),
    Rule(
        "context_parallel",
        lambda j, p: (p.cp == 1) | _divides(2 * p.cp, j.workload.seq),
        "2*cp = 2*{cp} does not divide the sequence of {seq} (each rank takes two slices, for balance)",
        f"{MEGATRON} training/arguments.py",
    ),
    Rule(
        "batch",
        lambda j, p: p.b * p.m * p.dp == j.workload.global_batch,
        "b*m*dp must be the global batch of {batch}, not b={b} x m={m} x dp={dp}",
        f"{MEGATRON} core/num_microbatches_calculator.py",
    ),
    Rule(
        "layers",
        lambda j, p: p.pp * p.v <= j.model.layers,
        "pp*v = {pp}*{v} stages exceed the {layers} layers",
        f"{MEGATRON} core/transformer/transformer_block.py",
    ),
    Rule(
        "uneven_layers", _uneven, "{framework} needs pp*v = {pp}*{v} to divide the {layers} layers", "framework preset"
    ),
    Rule(
        "chunks",
        _chunks,
        "{layers} layers leave more than two of the pp*v = {pp}*{v} chunks short: only the end chunks may be",
        f"{MEGATRON} core/transformer/pipeline_parallel_layer_layout.py",
    ),
    Rule(
        "head_layers",
        _head,
        "head={head}: the head counts for {worth} layers at most, and only with pp > 1, v = 1 and uneven stages",
        "arithmetic; Megatron-LM --decoder-last-pipeline-num-layers",
    ),
    Rule(
        "framework_schedule",
        lambda j, p: p.schedule in j.framework.schedules,
        "{framework} has no schedule {schedule}; it runs {schedules}",
        "framework preset",
    ),
    Rule(
        "virtual_stages",
        _schedule_fits,
        "v={v} with pp={pp} does not go with the schedule {schedule}: v > 1 means interleaved, and needs pp > 1",
        f"{MEGATRON} training/arguments.py",
    ),
    Rule(
        "interleaved_batches",
        _interleaved,
        "interleaving needs m = {m} to be a multiple of pp = {pp}",
        f"{MEGATRON} core/pipeline_parallel/schedules.py",
    ),
    Rule(
        "undivided",
        lambda j, p: (p.schedule != "naive") | (p.m == 1),
        "naive pipelining takes the batch undivided: m = 1, not {m}",
        "definition",
    ),
    Rule(
        "framework_zero",
        lambda j, p: np.isin(p.zero, j.framework.zero),
        "{framework} has no ZeRO stage {zero}; it has {stages}",
        "framework preset",
    ),
    Rule(
        "zero_ranks",
        lambda j, p: (p.zero == 0) | (p.dp * p.cp > 1),
        "ZeRO {zero} has nothing to shard over with dp*cp = 1",
        "definition",
    ),
    Rule(
        "zero_pipeline",
        lambda j, p: (p.pp == 1) | (p.zero <= j.framework.zero_with_pipeline),
        "{framework} combines pp > 1 with ZeRO {deepest} at most, not {zero}",
        "DeepSpeed runtime/pipe/engine.py; Megatron-LM training/arguments.py",
    ),
    Rule(
        "recompute_layers",
        lambda j, p: p.recompute_layers <= chunk_layers(j.model.layers, p.pp, p.v, p.head),
        "k={recompute_layers} recomputed layers exceed those of a chunk ({layers} over pp*v = {pp}*{v})",
        "arithmetic; Megatron-LM does not check it",
    ),
    Rule(
        "selective",
        lambda j, p: (not p.selective) | (not j.flash),
        "selective recomputation of the attention core saves nothing under flash attention",
        "Korthikanti 2022, section 5; Dao 2022",
    ),
    Rule(
        "host_memory",
        _host_memory,
        "offloaded states need {host_need} of host memory per node, {node} has {host_has}",
        "arithmetic; DeepSpeed runtime/zero/stage_1_and_2.py",
    ),
    Rule("experts", _experts, "ep={ep} does not divide the {experts} experts", f"{MEGATRON} training/arguments.py"),
    Rule(
        "expert_ranks",
        _expert_ranks,
        "ep={ep} does not divide dp*cp = {dp}*{cp}, out of which it is carved",
        f"{MEGATRON} core/parallel_state.py",
    ),
    Rule(
        "experts_need_sp",
        _moe_sp,
        "mixture of experts with tp > 1 needs sequence parallelism",
        f"{MEGATRON} core/transformer/moe/moe_layer.py",
    ),
)


def legal(job: Job, plan: Plan) -> tuple[Any, dict[str, int]]:
    """Mask of the plans that obey every rule, and how many broke each rule first."""
    mask = np.ones(np.shape(plan.tp), dtype=bool)
    broken: dict[str, int] = {}
    for rule in RULES:
        obeys = np.broadcast_to(rule.holds(job, plan), mask.shape)
        if lost := int(np.count_nonzero(mask & ~obeys)):
            broken[rule.name] = lost
        mask = mask & obeys
    return mask, broken


def first_broken(job: Job, plan: Plan) -> Rule | None:
    """The first rule that one plan breaks, or None."""
    return next((rule for rule in RULES if not np.all(rule.holds(job, plan))), None)
