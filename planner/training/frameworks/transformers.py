"""What Transformers' Trainer cannot run of a plan, beyond the rules that all frameworks share."""

from __future__ import annotations

from planner.plan import Plan, Truth
from planner.training.frameworks.deepspeed import whole_recompute
from planner.training.job import Job
from planner.training.rule import Rule

ARGUMENTS = "Transformers training_args.py"

OPTIMIZERS = {
    "adam": "adamw_torch",
    "adam-bf16": "adamw_torch",
    "adam-8bit": "adamw_bnb_8bit",
    "adam-paged": "paged_adamw_32bit",
    "adam-8bit-paged": "paged_adamw_8bit",
    "adafactor": "adafactor",
    "sgd": "sgd",
    "sgd-in-backward": "lomo",
}
"""--optim by our optimizers."""


def _zero(job: Job, plan: Plan) -> Truth:
    return (plan.zero != 1) if job.framework.shard_is_master else True


def _offload(job: Job, plan: Plan) -> Truth:
    kinds = ("parameters",) if job.framework.shard_is_master else ("optimizer", "parameters")
    work, whole = job.workload, not (job.workload.offload_layers or job.workload.offload_modules)
    free = work.offload == "none" or (work.offload == "activations" and whole)
    return free | ((work.offload in kinds) & (plan.zero >= 1))


RULES: tuple[Rule, ...] = (
    Rule(
        "hf_parallelism",
        lambda j, p: (p.tp == 1) & (p.pp == 1) & (p.cp == 1) & (p.ep == 1),
        "{framework} shards states only: tp={tp}, pp={pp}, cp={cp} and ep={ep} have to be 1",
        "Transformers trainer.py",
    ),
    Rule("hf_zero", _zero, "FSDP shards gradients with the optimizer: zero is 0, 2 or 3, not {zero}", ARGUMENTS),
    Rule(
        "hf_recompute",
        whole_recompute,
        "gradient checkpointing recomputes every layer or none, not k={recompute_layers} nor some modules",
        "Transformers modeling_layers.py",
    ),
    Rule(
        "hf_optimizer",
        lambda j, p: j.workload.optimizer in OPTIMIZERS,
        f"--optim has {', '.join(OPTIMIZERS)}, not {{optimizer}}",
        ARGUMENTS,
        update=True,
    ),
    Rule(
        "hf_offload",
        _offload,
        "DeepSpeed offloads the optimizer under ZeRO 1 to 3 and the weights, FSDP all of it or nothing, TRL and "
        "Axolotl activations of every layer: not {offload} with zero={zero}",
        "Transformers integrations/deepspeed.py, training_args.py, TRL models/activation_offloading.py",
        update=True,
    ),
)
