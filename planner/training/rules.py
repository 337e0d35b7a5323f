"""What a plan must obey, as named masks. "Why not?" is the first rule that a plan breaks."""

from __future__ import annotations

from functools import partial, reduce
from operator import and_, or_

from planner.cost.runs import on_equal
from planner.masks import Holds, asked, divides, first_of, obeying
from planner.plan import Mask, Num, Plan, Truth
from planner.schedules import SCHEDULES, offered
from planner.stages import chunk_layers, most_stages
from planner.training.expert_rules import EXPERT_RULES
from planner.training.frameworks import FRAMEWORK_RULES
from planner.training.job import Job
from planner.training.memory import state_bytes
from planner.training.policies import recomputable
from planner.training.rule import MEGATRON, Rule, head_worth, host_bytes


def _ffn(job: Job, plan: Plan) -> Truth:
    moe = job.model.moe
    widths = [job.model.ffn] if moe is None else [job.model.ffn, moe.shared_width]
    return reduce(and_, [divides(plan.tp, width) for width in widths])


def _uneven(job: Job, plan: Plan) -> Truth:
    return divides(_pieces(plan), job.model.layers) | job.framework.uneven_layers


def _head(job: Job, plan: Plan) -> Truth:
    movable = (plan.pp > 1) & (plan.v == 1) & job.framework.uneven_layers & (plan.head <= head_worth(job))
    return (plan.head == 0) | movable


def _counted_head(job: Job, plan: Plan) -> Truth:
    fixed = (plan.pp == 1) | (plan.v > 1) | (not (job.framework.counts_head and job.framework.uneven_layers))
    return fixed | (plan.head == head_worth(job)) | plan.placed


def _context_heads(job: Job, plan: Plan) -> Truth:
    """Where nothing but an all-to-all may run. Latent attention has a key and a value for every head."""
    if job.contexts != ("a2a",):
        return True
    heads = job.model.heads if job.model.mla else job.model.kv_heads
    return (plan.cp == 1) | divides(plan.tp * plan.cp, heads)


def _pieces(plan: Plan) -> Num:
    """Pieces that the model is cut into: stages, or their halves where every chunk is a whole pass."""
    return plan.pp * SCHEDULES[plan.schedule].cuts(plan.v)


def _schedule_fits(job: Job, plan: Plan) -> Truth:
    """The record's requirements; several chunks are those of a pipeline."""
    schedule = SCHEDULES[plan.schedule]
    pieces = (plan.v == 1) | (plan.pp > 1) if schedule.chunks else (plan.v > 1) & (plan.pp > 1)
    return schedule.meets(plan.pp, plan.m, plan.v) & pieces


def _layout(job: Job, plan: Plan) -> Truth:
    if plan.layout is None:
        return True
    ends = plan.layout[0].startswith("E") and plan.layout[-1].endswith("L")
    layers = "E" + "t" * job.model.layers + "m" * job.model.mtp_layers + "L"
    return plan.placed & (ends and "".join(plan.layout) == layers)


def _host_memory(job: Job, plan: Plan) -> Truth:
    limit = job.cluster.node.host_memory
    used = job.workload.offload != "none" or state_bytes(job).paged
    return host_bytes(job, plan) <= limit if used and limit is not None else True


RULES: tuple[Rule, ...] = (
    Rule(
        "heads",
        lambda j, p: divides(p.tp, j.model.heads),
        "tp={tp} does not divide the {heads} attention heads; legal: {legal_tp}",
        f"{MEGATRON} core/transformer/transformer_config.py",
    ),
    Rule(
        "kv_heads",
        lambda j, p: divides(p.tp, j.model.kv_heads) | divides(j.model.kv_heads, p.tp),
        "tp={tp} neither divides nor is a multiple of the {kv_heads} key/value heads",
        f"{MEGATRON} core/transformer/transformer_config.py",
    ),
    Rule("hidden", lambda j, p: divides(p.tp, j.model.hidden), "tp={tp} does not divide hidden {hidden}", MEGATRON),
    Rule(
        "ffn",
        _ffn,
        "tp={tp} does not divide the feed-forward width {ffn}",
        f"{MEGATRON} core/tensor_parallel/layers.py",
    ),
    Rule(
        "gpus",
        lambda j, p: p.gpus == j.cluster.gpus,
        "tp={tp} x cp={cp} x pp={pp} x dp={dp} does not make the {gpus} of the cluster (divisors: {divisors})",
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
        lambda j, p: (p.sp == 0) | divides(p.cp * p.tp, j.workload.seq),
        "cp*tp = {cp}*{tp} does not divide the sequence of {seq}, as sequence parallelism needs",
        f"{MEGATRON} core/tensor_parallel/mappings.py",
    ),
    Rule(
        "context_parallel",
        lambda j, p: (p.cp == 1) | divides(2 * p.cp, j.workload.seq),
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
        lambda j, p: (_pieces(p) <= most_stages(j.model.layers, j.framework.layouts)) | p.placed,
        "pp*v = {pp}*{v} stages exceed the {layers} layers",
        f"{MEGATRON} core/transformer/transformer_block.py",
    ),
    Rule(
        "uneven_layers", _uneven, "{framework} needs pp*v = {pp}*{v} to divide the {layers} layers", "framework preset"
    ),
    Rule(
        "head_layers",
        _head,
        "head={head}: the head counts for {worth} layers at most, and only with pp > 1, v = 1 and uneven stages",
        "arithmetic; Megatron-LM --decoder-last-pipeline-num-layers",
    ),
    Rule(
        "counted_head",
        _counted_head,
        "{framework} counts the LM head when it lays layers over ranks: head has to be {worth}, not {head}",
        "framework preset",
    ),
    Rule(
        "context_kind",
        lambda j, p: (p.cp == 1) | (j.contexts[0] in j.framework.context),
        "{framework} does not trade keys and values by {context} over cp={cp}",
        "framework preset",
    ),
    Rule(
        "context_heads",
        _context_heads,
        "an all-to-all over cp={cp} needs it to divide the {kv_heads} key/value heads over tp={tp}",
        "TransformerEngine pytorch/attention/dot_product_attention/context_parallel.py",
    ),
    Rule(
        "framework_schedule",
        lambda j, p: p.schedule in offered(j.framework.schedules, (p.schedule,)),
        "{framework} has no schedule {schedule}; it runs {schedules}",
        "framework preset",
    ),
    Rule(
        "schedule",
        _schedule_fits,
        "pp={pp}, m={m}, v={v} do not go with the schedule {schedule}: {required}",
        "the schedule's record",
    ),
    Rule(
        "framework_zero",
        lambda j, p: reduce(or_, (p.zero == z for z in j.framework.zero), (p.zero == 0) & (p.dp * p.cp == 1)),
        "{framework} has no ZeRO stage {zero}; it has {stages}",
        "framework preset",
    ),
    Rule(
        "zero_ranks",
        lambda j, p: (p.zero == 0) | (p.dp * p.cp > p.dp_replicate),
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
        "update_in_backward",
        lambda j, p: (p.m == 1) | (not j.in_backward),
        "{optimizer} frees gradients as they come and accumulates none: m=1, not m={m}",
        "torchtune recipes/full_finetune_single_device.py; Lv 2023, arXiv:2306.09782",
        update=True,
    ),
    Rule(
        "recompute_layers",
        lambda j, p: p.recompute_layers <= on_equal(partial(chunk_layers, j.model.layers), p, ("pp", "v", "head")),
        "k={recompute_layers} recomputed layers exceed those of a chunk ({layers} over pp*v = {pp}*{v})",
        "arithmetic; Megatron-LM does not check it",
    ),
    Rule(
        "selective",
        lambda j, p: (p.modules != ("core_attn",)) | (not j.flash),
        "selective recomputation of the attention core saves nothing under flash attention",
        "Korthikanti 2022, section 5; Dao 2022",
    ),
    Rule(
        "recompute_together",
        lambda j, p: (p.modules in ((), ("core_attn",))) | (p.recompute_layers == 0),
        "modules are recomputed instead of whole layers, not beside k={recompute_layers} of them",
        f"{MEGATRON} core/transformer/transformer_config.py",
    ),
    Rule(
        "recompute_modules",
        lambda j, p: set(p.modules) <= set(recomputable(j)),
        "of {model} {framework} recomputes {recomputable} by themselves, not {modules}",
        f"framework preset; {MEGATRON} core/transformer/transformer_config.py",
    ),
    Rule(
        "offload_parameters",
        lambda j, p: (p.zero == 3) | (j.workload.offload != "parameters"),
        "parameters are offloaded under ZeRO-3 only, not zero={zero}",
        "DeepSpeed runtime/zero/config.py (offload_param)",
        update=True,
    ),
    Rule(
        "offload_modules",
        lambda j, p: j.framework.offloads_modules or not j.workload.offload_modules,
        "{framework} does not move the inputs of single modules to the host",
        f"framework preset; {MEGATRON} core/transformer/transformer_config.py",
    ),
    Rule(
        "host_memory",
        _host_memory,
        "offloaded states need {host_need} of host memory per node, {node} has {host_has}",
        "arithmetic; DeepSpeed runtime/zero/stage_1_and_2.py",
        update=True,
    ),
    Rule(
        "replicas",
        lambda j, p: (p.dp_replicate == 1) | (divides(p.dp_replicate, p.dp) & (p.zero >= 1)),
        "dp_replicate={dp_replicate} has to divide dp={dp}, and needs ZeRO 1 or more: it is copies of sharded states",
        "definition",
    ),
    Rule(
        "framework_replicas",
        lambda j, p: (p.dp_replicate == 1) | j.framework.hybrid_shard,
        "{framework} shards over all of dp: dp_replicate has to be 1, not {dp_replicate}",
        "framework preset",
    ),
    *EXPERT_RULES,
)


STATED: tuple[Rule, ...] = (
    Rule(
        "batch",
        lambda j, p: p.dp * p.b * p.m == j.workload.global_batch,
        "dp x b x m = {dp} x {b} x {m} does not make the global batch of {batch}",
        "definition",
    ),
    Rule(
        "layout",
        _layout,
        "the layout is not of pp*v = {pp}*{v} stages that hold E, {layers} t, the predictions m and L in this order",
        f"{MEGATRON} core/transformer/pipeline_parallel_layer_layout.py",
    ),
)
"""What every plan of `planner.training.space` obeys by how it is made, and one that somebody states may not."""


def rules_of(job: Job) -> tuple[Rule, ...]:
    """The rules that every framework has, and those of the one that runs the job."""
    return (*RULES, *FRAMEWORK_RULES.get(job.framework.target or "", ()))


def legal(job: Job, plan: Plan, more: tuple[Rule, ...] = (), holds: Holds = asked) -> tuple[Mask, dict[str, int]]:
    """Mask of the plans that obey every rule, and `more` of them, and how many broke each rule first."""
    return obeying(tuple(dict.fromkeys((*rules_of(job), *more))), job, plan, holds)


def first_broken(job: Job, plan: Plan) -> Rule | None:
    """The first rule that one plan breaks, whoever states it, or None."""
    return first_of((*rules_of(job), *STATED), job, plan)
