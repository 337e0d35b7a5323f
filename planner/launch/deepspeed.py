"""DeepSpeed's ds_config.json for one plan of the user's own training script.

Keys and their checks: deepspeedai/DeepSpeed runtime/config.py, runtime/zero/config.py, runtime/precision_config.py,
runtime/tensor_parallel/config.py. Ranks are laid out pipe, data, model, the last fastest (runtime/pipe/topology.py,
PipeModelDataParallelTopology; utils/groups.py for AutoTP): tensor parallelism stays inside a node.
"""

from __future__ import annotations

import json
from typing import Any

from planner.launch import seeing
from planner.launch.described import target
from planner.launch.program import File, Program, Setup, adapters_said, kernels_said
from planner.plan import OnePlan
from planner.training.frameworks.deepspeed import EXPERT_PRESETS
from planner.training.job import Job

CONFIG = "ds_config.json"
CLIP = 1.0
"""Gradient clipping of every published recipe that names one (Llama 2 and 3, BLOOM, OPT)."""

BUCKET = 200_000_000
"""Elements of a reduce or gather bucket under ZeRO-1 and 2: 400 MB in 16 bits; DeepSpeed's default is 500 M."""


def program(setup: Setup) -> Program:
    """The user's train.py with the configuration that it hands to deepspeed.initialize."""
    flags = (("--deepspeed",), ("--deepspeed_config", CONFIG))
    return Program("train.py", flags, files=(File(CONFIG, json_text(config(setup))),), notes=notes(setup))


def json_text(value: dict[str, Any]) -> str:
    """JSON as it is written: two spaces, keys in the order given, a newline behind."""
    return json.dumps(value, indent=2) + "\n"


def config(setup: Setup) -> dict[str, Any]:
    """The whole configuration."""
    return {
        **batch_sizes(setup),
        "steps_per_print": 1,
        "gradient_clipping": CLIP,
        **precision(setup.job),
        "optimizer": OPTIMIZER,
        "zero_optimization": zero_optimization(setup),
        **activation_checkpointing(setup),
        **pipeline(setup),
        **tensor_parallel(setup.plan),
        **expert_parallel(setup),
    }


def batch_sizes(setup: Setup) -> dict[str, int]:
    """b, m and, where DeepSpeed counts dp as the planner does, B.

    With AutoTP it multiplies by all ranks, tp included (runtime/config.py, _batch_assertion), so that B is left out.
    """
    plan = setup.plan
    batch = {"train_batch_size": setup.job.workload.global_batch} if plan.tp == 1 or plan.pp > 1 else {}
    return batch | {"train_micro_batch_size_per_gpu": plan.b, "gradient_accumulation_steps": plan.m}


def precision(job: Job) -> dict[str, Any]:
    """bf16 or fp16 with dynamic loss scale; masters and moments in bf16 as well for adam-bf16."""
    if job.workload.precision == "fp16":
        return {"fp16": {"enabled": True, "loss_scale": 0, "initial_scale_power": 16}}
    pure = {"bf16_master_weights_and_grads": True, "bf16_optimizer_states": True}
    return {"bf16": {"enabled": True} | (pure if job.workload.optimizer == "adam-bf16" else {})}


OPTIMIZER = {"type": "AdamW", "params": {"lr": 1e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}}
"""Adam with decoupled weight decay; on the CPU when its states are there."""


def zero_optimization(setup: Setup) -> dict[str, Any]:
    """Stage, overlap, buckets, offload. A pipeline has no overlapped reduction (runtime/engine.py)."""
    stage = setup.plan.zero
    if stage == 0:
        return {"stage": 0}
    section: dict[str, Any] = {"stage": stage, "contiguous_gradients": True, "overlap_comm": setup.plan.pp == 1}
    section |= gather_sizes(setup.job.model.hidden) if stage == 3 else BUCKETS
    parts = {"optimizer": ["optimizer"], "parameters": ["optimizer", "param"]}.get(setup.job.workload.offload, [])
    return section | {f"offload_{part}": {"device": "cpu", "pin_memory": True} for part in parts}


BUCKETS = {"reduce_scatter": True, "reduce_bucket_size": BUCKET, "allgather_bucket_size": BUCKET}
"""Of ZeRO-1 and 2."""


def gather_sizes(hidden: int) -> dict[str, int]:
    """ZeRO-3: buckets of one h x h matrix, vectors stay whole (transformers integrations/deepspeed.py, "auto")."""
    return {
        "reduce_bucket_size": hidden * hidden,
        "stage3_prefetch_bucket_size": hidden * hidden * 9 // 10,
        "stage3_param_persistence_threshold": 10 * hidden,
        "stage3_max_live_parameters": 1_000_000_000,
        "stage3_max_reuse_distance": 1_000_000_000,
    }


def activation_checkpointing(setup: Setup) -> dict[str, Any]:
    """The section stands where every layer is recomputed; without it the functions of deepspeed.checkpointing rest."""
    if setup.plan.recompute_layers == 0:
        return {}
    section = {"partition_activations": False, "contiguous_memory_optimization": False}
    section |= {"cpu_checkpointing": setup.job.workload.offload == "activations"}
    return {"activation_checkpointing": section | {"number_checkpoints": setup.job.model.layers}}


def pipeline(setup: Setup) -> dict[str, Any]:
    """Stages, and the layers per checkpoint: 1 or, without recomputation, 0."""
    if setup.plan.pp == 1:
        return {}
    interval = 1 if setup.plan.recompute_layers else 0
    return {"pipeline": {"stages": setup.plan.pp, "activation_checkpoint_interval": interval}}


def tensor_parallel(plan: OnePlan) -> dict[str, Any]:
    """AutoTP."""
    return {"tensor_parallel": {"autotp_size": plan.tp}} if plan.tp > 1 else {}


def expert_parallel(setup: Setup) -> dict[str, Any]:
    """AutoEP, with its preset for the model's family."""
    if setup.plan.ep == 1:
        return {}
    preset = EXPERT_PRESETS[setup.job.model.family]
    return {"expert_parallel": {"enabled": True, "autoep_size": setup.plan.ep, "preset_model": preset}}


def notes(setup: Setup) -> tuple[str, ...]:
    """What stays with the user."""
    plan, workload = setup.plan, setup.job.workload
    said = ["train.py is your script: it builds the model and calls deepspeed.initialize; data, tokenizer, learning"]
    said[0] += " rate and its schedule are yours"
    if plan.pp > 1:
        said.append(f"build PipelineModule(layers, num_stages={plan.pp}, partition_method='type:<your layer class>')")
    if plan.recompute_layers and plan.pp == 1:
        said.append("wrap every layer in deepspeed.checkpointing.checkpoint, or enable the model's own checkpointing")
    if plan.tp > 1:
        said.append(
            f"train_batch_size ({workload.global_batch}) is left out: DeepSpeed would count the tp ranks into it"
        )
    if setup.job.lora:
        said.append(f"give the model {adapters_said(setup.job)} before deepspeed.initialize")
    return (*said, *kernels_said(setup.job), *seeing.own(setup))


TARGET = target("deepspeed", program)
