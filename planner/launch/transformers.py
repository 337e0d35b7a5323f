"""Hugging Face Transformers: options of the Trainer for one plan, with the file of DeepSpeed or FSDP beside them.

Names: huggingface/transformers src/transformers/training_args.py, trainer_utils.py, integrations/deepspeed.py.
"""

from __future__ import annotations

from planner.launch import deepspeed, seeing
from planner.launch.described import notes, part, target
from planner.launch.program import File, Flag, Program, Setup
from planner.training.frameworks.transformers import OPTIMIZERS

FSDP = "fsdp.json"
GATHERED = ("reduce_bucket_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold")
"""Sizes of ZeRO-3 that the Trainer sets by the model (integrations/deepspeed.py)."""


def program(setup: Setup) -> Program:
    """The user's train.py, which hands its options to HfArgumentParser and the Trainer."""
    return Program(
        "train.py", flags(setup), files=files(setup), notes=(*notes("transformers", setup), *seeing.own(setup))
    )


def flags(setup: Setup) -> tuple[Flag, ...]:
    """Batch, precision, checkpointing, optimizer, loss, and what shards the states."""
    optim = (OPTIMIZERS | (SHARDED if by_fsdp(setup) else {}))[setup.job.workload.optimizer]
    more = {"CONFIG": deepspeed.CONFIG, "FSDP": FSDP, "by_fsdp": by_fsdp(setup)}
    found = part("transformers", "flags", setup, optim=optim, **more)
    return tuple((f"--{name}", f"{value}") for name, value in found.items())


SHARDED = {"adam-8bit": "adamw_torch_8bit"}
"""8-bit moments that FSDP 2 shards: torchao's; those of bitsandbytes are no DTensors."""


def by_fsdp(setup: Setup) -> bool:
    """Whether FSDP shares the states."""
    return bool(setup.plan.zero >= 1 and setup.job.framework.shard_is_master)


def files(setup: Setup) -> tuple[File, ...]:
    """The file that --deepspeed or --fsdp_config names; what both state is left to the Trainer ("auto")."""
    if setup.plan.zero == 0:
        return ()
    if setup.job.framework.shard_is_master:
        config = {"fsdp_version": 2, "reshard_after_forward": setup.plan.zero == 3}
        return (File(FSDP, deepspeed.json_text(config | {"state_dict_type": "SHARDED_STATE_DICT"})),)
    return (deepspeed_file(setup),)


def deepspeed_file(setup: Setup) -> File:
    """DeepSpeed's JSON under a Trainer: the stage, the offload, and "auto" for what the Trainer is told itself."""
    whole = deepspeed.config(setup)
    auto = {name: "auto" for name in whole if name.startswith(("train_", "gradient_accumulation"))}
    kept = ("stage", "contiguous_gradients", "offload_optimizer", "offload_param")
    section = {
        name: "auto" if name in GATHERED else value
        for name, value in whole["zero_optimization"].items()
        if name in (*kept, *(GATHERED if setup.plan.zero == 3 else ()))
    }
    settings = {**auto, "gradient_clipping": "auto", "bf16": {"enabled": "auto"}, "fp16": {"enabled": "auto"}}
    return File(deepspeed.CONFIG, deepspeed.json_text(settings | {"zero_optimization": section}))


TARGET = target("transformers", program)
