"""What Megatron-LM cannot express of a plan, beyond the rules of the search."""

from __future__ import annotations

from planner.plan import Plan, Truth
from planner.schedules import MEGATRON, runs
from planner.training.job import Job
from planner.training.rule import Rule

ARGUMENTS = "Megatron-LM training/arguments.py"

OPTIMIZERS = {
    "adam": {},
    "adam-bf16-moments": {"exp-avg-dtype": "bf16", "exp-avg-sq-dtype": "bf16"},
    "adam-fp8-moments": {"exp-avg-dtype": "fp8", "exp-avg-sq-dtype": "fp8"},
    "muon": {"optimizer": "muon"},
}
"""Options of our optimizers; whatever names formats of moments needs the precision-aware optimizer."""


def _optimizer_sharding(job: Job, plan: Plan) -> Truth:
    """Formats of moments are the distributed optimizer's; Muon's states are dealt out by whole layers, not by FSDP."""
    named = OPTIMIZERS.get(job.workload.optimizer, {})
    if "optimizer" in named:
        return plan.zero <= 1
    return (plan.zero == 1) | (plan.dp * plan.cp == 1) if named else True


def _offload(job: Job, plan: Plan) -> Truth:
    """--optimizer-cpu-offload needs the precision-aware optimizer, and that the distributed one, be it of one rank."""
    away = job.workload.offload
    return ((plan.zero == 1) | (plan.dp * plan.cp == 1) | (away != "optimizer")) & (away != "parameters")


def _activations(job: Job, plan: Plan) -> Truth:
    """Whole layers: without a pipeline, recomputation or graphs, and fewer than all; inputs of modules: anywhere."""
    if job.workload.offload != "activations" or job.workload.offload_modules:
        return True
    whole = (plan.pp == 1) & (plan.recompute_layers == 0) & (not plan.modules)
    return whole & (job.offloaded_layers < job.model.layers) & (job.workload.graphs == "none")


def _modules_away(job: Job, plan: Plan) -> Truth:
    """The input of the output product is what the core's backward pass reads."""
    modules = job.workload.offload_modules
    return "attn_proj" not in modules or "core_attn" in modules


def _delayed(job: Job) -> bool:
    """Whether scales are those of earlier steps."""
    return (job.recipe.spelled.megatron or {}).get("fp8-recipe") == "delayed"


def _graphs(job: Job, plan: Plan) -> Truth:
    """Graphs of parts of a layer hold no part that is run again around them."""
    apart = (plan.recompute_layers == 0) & ("moe" not in plan.modules)
    return apart if job.workload.graphs == "partial" else True


def _wide_layers(job: Job, plan: Plan) -> Truth:
    """As many at either end as a stage has, and none beside scales of earlier steps."""
    most = max(job.workload.bf16_first, job.workload.bf16_last)
    return (most == 0) | ((most <= job.model.layers // plan.pp) & (not _delayed(job)))


RULES: tuple[Rule, ...] = (
    Rule(
        "megatron_schedule",
        lambda j, p: runs(MEGATRON, p.schedule),
        "Megatron-LM runs 1f1b and, with v > 1, interleaved, not {schedule}",
        "Megatron-LM core/pipeline_parallel/schedules.py",
    ),
    Rule(
        "megatron_recompute",
        lambda j, p: (not p.modules) | (p.recompute_layers == 0),
        "--recompute-granularity is full or selective, not both: k={recompute_layers}",
        ARGUMENTS,
    ),
    Rule(
        "megatron_recompute_delayed",
        lambda j, p: not (_delayed(j) and {"moe_act", "layernorm"} & set(p.modules)),
        "delayed scaling goes with no recomputation of moe_act or layernorm: --precision fp8-current or mxfp8, not"
        " {precision} with {modules}",
        "Megatron-LM core/transformer/transformer_config.py",
    ),
    Rule(
        "megatron_graphs",
        _graphs,
        "graphs of parts of a layer go without full recomputation and without that of moe: --cuda-graphs full, or not"
        " k={recompute_layers} and modules {modules}",
        "Megatron-LM core/transformer/transformer_config.py",
    ),
    Rule(
        "megatron_optimizer_sharding",
        _optimizer_sharding,
        "--optimizer {optimizer} goes with the distributed optimizer, not with zero={zero}",
        ARGUMENTS,
        update=True,
    ),
    Rule(
        "megatron_offload",
        _offload,
        "Megatron-LM offloads the optimizer with zero=1, and no parameters: not {offload} with zero={zero}",
        ARGUMENTS,
        update=True,
    ),
    Rule(
        "megatron_activations",
        _activations,
        "activations are offloaded without a pipeline, recomputation or graphs, and of fewer than the {layers} layers",
        "Megatron-LM core/transformer/transformer_config.py (cpu_offloading)",
        update=True,
    ),
    Rule(
        "megatron_offload_modules",
        _modules_away,
        "--offload-modules attn_proj needs core_attn beside it",
        "Megatron-LM core/transformer/transformer_config.py (offload_modules)",
    ),
    Rule(
        "megatron_fsdp_pipeline",
        lambda j, p: (p.pp == 1) | (p.zero <= 1),
        "zero={zero} is Megatron-FSDP, written for pp=1 only, not pp={pp}; with a pipeline zero is 0 or 1",
        ARGUMENTS,
    ),
    Rule(
        "megatron_replicas",
        lambda j, p: (p.dp_replicate == 1) | (p.zero == 1),
        "copies of the distributed optimizer are those of zero=1, not zero={zero}",
        ARGUMENTS,
    ),
    Rule(
        "megatron_param_gather",
        lambda j, p: (not j.workload.fp8_param_gather) | (p.zero >= 1),
        "weights below 16 bit are those of the distributed optimizer or FSDP: zero of 1 or more, not zero={zero}",
        ARGUMENTS,
    ),
    Rule(
        "megatron_wide_layers",
        _wide_layers,
        "layers in 16 bit go with any recipe but delayed scaling, at most {layers} / pp={pp} of them at either end",
        "Megatron-LM core/transformer/transformer_config.py",
    ),
    Rule(
        "experts_need_sp",
        lambda j, p: (p.tp == 1) | (p.sp == 1) | (j.model.moe is None),
        "mixture of experts with tp={tp} needs sequence parallelism in Megatron-LM",
        "Megatron-LM core/transformer/moe/moe_layer.py",
    ),
    Rule(
        "megatron_expert_bias",
        lambda j, p: (p.etp == 1) | (j.model.moe is None) | (j.model.bias != "all"),
        "experts with biases need an expert tensor parallel degree of 1, not etp={etp}",
        "Megatron-LM core/transformer/transformer_config.py",
    ),
)

OPTIONS = (
    Rule(
        "megatron_optimizer",
        lambda j, p: j.workload.optimizer in OPTIMIZERS,
        f"Megatron-LM keeps fp32 master weights: --optimizer {', '.join(OPTIMIZERS)}, not {{optimizer}}",
        "Megatron-LM core/optimizer/optimizer_config.py",
    ),
    Rule(
        "megatron_method",
        lambda j, p: j.workload.method == "full",
        "Megatron-LM trains all weights: --method full, not {method}",
        "Megatron-LM training/arguments.py",
    ),
)
"""What it has options for, whatever the plan."""
