"""What verl cannot run of a plan: its FSDP engine shares weights, its Megatron engine has the other degrees."""

from __future__ import annotations

from planner.plan import Plan, Truth
from planner.schedules import MEGATRON, runs
from planner.training.frameworks.deepspeed import whole_recompute
from planner.training.job import Job
from planner.training.rule import Rule

CONFIG = "verl trainer/config/engine"


def _engine(job: Job, plan: Plan) -> Truth:
    alone = (plan.tp == 1) & (plan.pp == 1) & (plan.cp == 1) & (plan.ep == 1)
    return ((plan.zero == 3) & alone) | (plan.zero <= 1)


def _own(job: Job, plan: Plan) -> Truth:
    """What one engine has and the other does not."""
    work = job.workload
    fsdp = work.method != "full" or work.loss is not None or work.offload != "none"
    return (plan.zero == 3) if fsdp else True


RULES = (
    Rule(
        "verl_model",
        lambda j, p: j.model.hf_id is not None,
        "verl loads its model from Hugging Face, and {model} has no id there",
        "verl trainer/config/model/hf_model.yaml",
    ),
    Rule(
        "verl_states",
        lambda j, p: (j.workload.optimizer == "adam") & (p.dp_replicate == 1) & (not p.overlap),
        "verl keeps fp32 master weights in one set and overlaps no experts: adam, not {optimizer}, dp_replicate=1, not"
        " {dp_replicate}, overlap {overlap}",
        CONFIG,
    ),
    Rule(
        "verl_method",
        lambda j, p: (j.workload.method != "qlora") & (j.workload.lora_targets == "all-linear"),
        "verl has LoRA on all linear layers of a base in 16 bit: not {method}",
        "verl trainer/config/model/hf_model.yaml",
    ),
    Rule("verl_precision", lambda j, p: j.workload.precision == "bf16", "verl trains in bf16, not {precision}", CONFIG),
    Rule(
        "verl_engine",
        _engine,
        "verl shares weights by FSDP alone (zero=3), or runs Megatron (zero 0 or 1): not zero={zero} with tp={tp},"
        " pp={pp}, cp={cp}, ep={ep}",
        CONFIG,
    ),
    Rule(
        "verl_tower",
        lambda j, p: (p.zero == 3) if j.model.tower else True,
        "a model that sees is trained on verl's FSDP engine: zero=3, not {zero}",
        CONFIG,
    ),
    Rule(
        "verl_adapters",
        _own,
        "adapters, fused losses and offloaded activations are those of the FSDP engine: zero=3, not {zero}",
        "verl trainer/config/model/hf_model.yaml",
    ),
    Rule(
        "verl_schedule", lambda j, p: runs(MEGATRON, p.schedule), "verl's Megatron has no schedule {schedule}", CONFIG
    ),
    Rule(
        "verl_context",
        lambda j, p: p.cp == 1,
        "how ranks trade keys and values has no key of verl's: cp={cp} has to be 1",
        CONFIG,
    ),
    Rule(
        "verl_stages",
        lambda j, p: (p.pp == 1) | ((p.head == 0) & (j.model.layers % (p.pp * p.v) == 0)),
        "layers are dealt out evenly: pp*v = {pp}*{v} has to divide the {layers} layers, head={head} be 0",
        CONFIG,
    ),
    Rule(
        "verl_recompute",
        whole_recompute,
        "every layer is recomputed or none, not k={recompute_layers} nor some modules",
        CONFIG,
    ),
    Rule(
        "verl_experts",
        lambda j, p: p.dispatcher == "alltoall",
        "how tokens reach experts is verl's own: alltoall, not {dispatcher}",
        CONFIG,
    ),
)
