"""verl: overrides of its trainer for whole sequences, on its FSDP or its Megatron engine.

The engines are those that an actor of main_ppo has under actor_rollout_ref.actor. Keys: volcengine/verl
verl/trainer/config/sft_trainer_engine.yaml, config/engine/*.yaml, config/model/hf_model.yaml.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing
from planner.launch.program import Program, Setup, Target, flag_lines
from planner.launch.trees import field_keys, overrides
from planner.plan import Plan, Truth
from planner.read.format import find_format
from planner.schedules import MEGATRON, runs
from planner.training.frameworks.deepspeed import whole_recompute
from planner.training.job import Job
from planner.training.rule import Rule

CONFIG = "verl trainer/config/engine"
SECTIONS = ("data.", "model.", "engine.")


def program(setup: Setup) -> Program:
    """torchrun of sft_trainer, whose engine is chosen by name."""
    engine = "fsdp" if setup.plan.zero == 3 else "megatron"
    chosen = (("--config-name", "sft_trainer_engine"), (f"engine={engine}",), (f"optim={engine}",))
    return Program("-m verl.trainer.sft_trainer", (*chosen, *overrides(keys(setup))), notes=notes(setup))


def keys(setup: Setup) -> dict[str, Any]:
    """Every key by its whole path: what the plan sets, and what keeps micro-batches as planned."""
    whole = setup.plan.recompute_layers > 0
    found = field_keys(find_format("verl"), fields(setup), SECTIONS)
    found |= {"data.use_dynamic_bsz": False, "data.truncation": "right", "trainer.total_training_steps": 20}
    if setup.plan.zero == 3:
        return found | {"model.enable_gradient_checkpointing": whole}
    layer = "engine.override_transformer_config.recompute"
    again = {f"{layer}_granularity": "full", f"{layer}_method": "uniform", f"{layer}_num_layers": 1} if whole else {}
    return found | {"engine.use_distributed_optimizer": setup.plan.zero == 1} | again


def fields(setup: Setup) -> dict[str, Any]:
    """Fields of a job that stand in the table of the format."""
    job, plan, work = setup.job, setup.plan, setup.job.workload
    sizes = {"batch": work.global_batch, "b": plan.b, "seq": work.seq, "model": job.model.hf_id}
    degrees = {"tp": plan.tp, "pp": plan.pp, "cp": plan.cp, "ep": plan.ep, "etp": plan.etp, "sp": bool(plan.sp)}
    degrees |= {"v": plan.v} if plan.v > 1 else {}
    rank = {"rank": work.lora_rank} if job.lora else {}
    nodes = {"nodes": job.cluster.nodes, "per_node": job.cluster.used}
    return sizes | rank | nodes | {"loss": work.loss, "offload": work.offload} | (degrees if plan.zero < 3 else {})


def notes(setup: Setup) -> tuple[str, ...]:
    """What stays with the user."""
    said = "name your files: data.train_files, data.val_files; learning rate and its schedule are verl's defaults"
    return (said, *seeing.notes(setup))


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

TARGET = Target(
    "verl",
    "verl",
    "verl 0.8.0.dev (b178a3cd, 2026-01-29) to 0.9.1",
    RULES,
    program,
    flag_lines,
    "overrides of its trainer for whole sequences",
    {"loss": ("linear",), "offload": ("activations",)},
    preset="hf-fsdp",
    towers=("trained",),
)
