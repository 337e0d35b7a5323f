"""What tools of fine-tuning cannot run of a plan beyond what the Trainer cannot, which they start."""

from __future__ import annotations

import numpy as np

from planner.plan import Plan, Truth
from planner.training.frameworks import transformers
from planner.training.job import Job
from planner.training.rule import Rule


def _pages(job: Job, plan: Plan) -> Truth:
    sharded = (plan.zero > 0) & job.framework.shard_is_master
    return ~np.asarray(sharded) if "paged" in job.workload.optimizer else True


PAGED = Rule(
    "fsdp_paged",
    _pages,
    "FSDP 2 cannot shard states that bitsandbytes pages: {optimizer} needs DeepSpeed or zero=0, not FSDP at {zero}",
    "Axolotl utils/schemas/validation.py, Accelerate utils/fsdp_utils.py",
)


def _swift_fsdp(job: Job, plan: Plan) -> Truth:
    whole = (plan.zero == 3) & (plan.recompute_layers > 0)
    kept = job.workload.offload == "none"
    return (plan.zero == 0) | (whole & kept) if job.framework.shard_is_master else True


SWIFT_FSDP = Rule(
    "swift_fsdp",
    _swift_fsdp,
    "--fsdp fsdp2 shards all on the device and recomputes every layer, not zero={zero}, k={recompute_layers}, "
    "offload {offload}",
    "ms-swift config/fsdp2.json",
)


def _trl_pure(job: Job, plan: Plan) -> Truth:
    full = job.workload.method == "full"
    return job.workload.optimizer != "adam-bf16" or (full & (plan.zero == 0))


TRL_PURE = Rule(
    "trl_pure",
    _trl_pure,
    "weights loaded in 16 bit stay so without DeepSpeed and FSDP only, where all are trained: not {optimizer} "
    "with {method} and zero={zero}",
    "TRL trainer/model_config.py",
)


def _llamafactory_pure(job: Job, plan: Plan) -> Truth:
    full = job.workload.method == "full" and job.workload.precision == "bf16"
    return job.workload.optimizer != "adam-bf16" or (full & ((plan.zero == 0) | job.framework.shard_is_master))


LLAMAFACTORY_PURE = Rule(
    "llamafactory_pure",
    _llamafactory_pure,
    "pure_bf16 is for whole models without DeepSpeed: not {optimizer}, {method}, {precision}, zero={zero}",
    "LLaMA-Factory hparams/parser.py",
)


def loaded_in_16_bit(name: str, title: str, source: str) -> Rule:
    """Whole models are loaded in 16 bit: masters in fp32 come with DeepSpeed or FSDP, and only with them."""

    def holds(job: Job, plan: Plan) -> Truth:
        work = job.workload
        if work.method != "full":
            return work.optimizer != "adam-bf16"
        return {"adam": plan.zero > 0, "adam-bf16": plan.zero == 0}.get(work.optimizer, True)

    said = (
        f"{title} loads weights in 16 bit: adam-bf16 at zero=0, adam above, not {{optimizer}} of {{method}} at {{zero}}"
    )
    return Rule(f"{name}_masters", holds, said, source)


SWIFT_MASTERS = loaded_in_16_bit("swift", "ms-swift", "ms-swift arguments/base_args/model_args.py")

RULES: dict[str, tuple[Rule, ...]] = {
    "llamafactory": (*transformers.RULES, PAGED, LLAMAFACTORY_PURE),
    "trl": (*transformers.RULES, PAGED, TRL_PURE),
    "swift": (*transformers.RULES, PAGED, SWIFT_MASTERS, SWIFT_FSDP),
}
"""By target, in the ranking of plans for it."""
