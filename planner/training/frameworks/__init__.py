"""What each framework cannot run of a plan, on top of the rules that all share: one file per framework."""

from __future__ import annotations

from dataclasses import replace

from planner.training.frameworks import (
    accelerate,
    automodel,
    axolotl,
    colossalai,
    deepspeed,
    megatron,
    megatron_bridge,
    megatron_deepspeed,
    pytorch,
    torchtitan,
    transformers,
    tuners,
    verl,
)
from planner.training.job import Job
from planner.training.rule import Rule

FRAMEWORK_RULES: dict[str, tuple[Rule, ...]] = {
    "megatron": megatron.RULES,
    "megatron-core": megatron.RULES,
    "megatron-deepspeed": megatron_deepspeed.RULES,
    "deepspeed": deepspeed.RULES,
    "torchtitan": torchtitan.RULES,
    "pytorch": pytorch.RULES,
    "colossalai": colossalai.RULES,
    "accelerate": accelerate.RULES,
    "transformers": transformers.RULES,
    "axolotl": axolotl.RULES,
    "automodel": automodel.RULES,
    "verl": verl.RULES,
    **tuners.RULES,
}
"""By target of the framework's preset; a preset without one is held to the shared rules only."""

OPTIONS: dict[str, tuple[Rule, ...]] = {"megatron": megatron.OPTIONS, "torchtitan": torchtitan.OPTIONS}
"""What a framework has options for, whatever the plan: a job without them can be planned, not written."""


def launched_by(job: Job, target: str | None) -> Job:
    """The job as what launches it runs it.

    A preset of the Trainer, or of no target, lends its speed to another's rules; Megatron-Bridge has towers of its own.
    """
    lent = job.framework.target in (None, "transformers") and target in FRAMEWORK_RULES
    own = {"target": target} if lent else megatron_bridge.tower(job.model) if target == "megatron-bridge" else {}
    return replace(job, framework=job.framework.model_copy(update=own)) if own else job
