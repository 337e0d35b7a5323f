"""TRL: the command `trl sft` for one plan, and the YAML of Accelerate that shares its states.

Options: huggingface/trl trl/trainer/sft_config.py, model_config.py, scripts/sft.py; what the command hands on to
`accelerate launch`: trl/cli/commands/training.py; the YAML: trl/accelerate_configs/*.yaml.
"""

from __future__ import annotations

from typing import Any

from planner.launch import accelerate, seeing, tuner
from planner.launch.described import part, table
from planner.launch.program import Program, Setup
from planner.launch.transformers import by_fsdp
from planner.training.adapters import on_experts
from planner.training.frameworks import tuners

MAIN = "accelerate"

NO_LOGITS = "TRL's trainer makes no whole logits (trainer/sft_trainer.py, add_fused_lm_head): --loss linear counts so"
"""What a plan with the loss of Transformers counts too much."""


def program(setup: Setup) -> Program:
    """`trl sft` starts `accelerate launch`."""
    main, work = tuner.yaml_file(MAIN, config(setup)), setup.job.workload
    narrow = {"pure16": "bfloat16" if work.precision == "bf16" else "float16"}
    found = tuner.fields(setup) | (narrow if setup.job.lora or work.optimizer == "adam-bf16" else {})
    found |= {"loss": None} | ({"recompute": "none"} if by_fsdp(setup) else {})
    nested = {"use_bnb_nested_quant": True} if work.method == "qlora" and work.base == "nf4" else {}
    nested |= tuner.stored(setup) | ({"lora_dropout": 0.0} if on_experts(setup.job) else {})
    options = {"accelerate_config": main.name} | tuner.written("transformers", found) | nested
    options |= table("trl")["images"] if work.images else {}
    options |= {"activation_offloading": True} if work.offload == "activations" else {}
    notes = (*tuner.notes(setup, "--dataset_name"), *seeing.notes(setup), *(() if work.loss else (NO_LOGITS,)))
    return Program("trl sft", tuner.flags(options), files=(main,), notes=notes)


def config(setup: Setup) -> dict[str, Any]:
    """Accelerate's file: DeepSpeed, FSDP 2, which has its own recomputation, or replicas."""
    found = accelerate.config(setup)
    if tuner.by_deepspeed(setup):
        rest = {name: value for name, value in found.items() if name not in ("fsdp_config", "parallelism_config")}
        return rest | {"distributed_type": "DEEPSPEED", "deepspeed_config": deepspeed(setup)}
    found.pop("parallelism_config", None)
    if setup.job.cluster.gpus == 1:
        return found | {"distributed_type": "NO"}
    return found


def deepspeed(setup: Setup) -> dict[str, Any]:
    """The stage, and what is offloaded."""
    return part("trl", "deepspeed", setup)


TARGET = tuner.target("trl", program, tuners.TRL_PURE)
