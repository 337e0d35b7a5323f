"""ColossalAI: HybridParallelPlugin's arguments for one plan.

Names and checks: hpcaitech/ColossalAI booster/plugin/hybrid_parallel_plugin.py, pipeline/stage_manager.py,
pipeline/schedule, shardformer/shard/grad_ckpt_config.py. The mesh is dp, pp, tp (dp, pp, sp, tp with ring attention),
the last fastest: tensor parallelism stays inside a node, and pipeline stages are nearer than replicas.
"""

from __future__ import annotations

from typing import Any

from planner.launch.described import target
from planner.launch.program import File, Program, Setup, adapters_said, kernels_said
from planner.plan import OnePlan
from planner.schedules import spelled
from planner.stages import layers_per_chunk

SCRIPT = "plan.py"


def program(setup: Setup) -> Program:
    """The user's train.py, which imports `plugin` from plan.py."""
    return Program("train.py", (), files=(File(SCRIPT, module(setup)),), notes=notes(setup))


def module(setup: Setup) -> str:
    """plan.py."""
    counts = checkpointed(setup)
    imports = "from colossalai.booster.plugin import HybridParallelPlugin\n"
    imports += "from colossalai.shardformer import PipelineGradientCheckpointConfig\n" if counts else ""
    lines = [f"    {name}={value!r},\n" for name, value in arguments(setup).items()]
    if counts:
        value = f"PipelineGradientCheckpointConfig(num_ckpt_layers_per_stage={counts})"
        lines.append(f"    gradient_checkpoint_config={value},\n")
    sizes = f"MICRO_BATCH = {setup.plan.b}\nMICRO_BATCHES = {setup.plan.m}\nSEQUENCE = {setup.job.workload.seq}\n"
    about = '"""The parallel plan: train.py passes plugin() to Booster."""\n\n'
    return f"{about}{imports}\n{sizes}ARGUMENTS = dict(\n{''.join(lines)})\n\n\n{FUNCTION}"


FUNCTION = """def plugin() -> HybridParallelPlugin:
    \"\"\"To be called behind colossalai.launch_from_torch().\"\"\"
    return HybridParallelPlugin(**ARGUMENTS)
"""


def arguments(setup: Setup) -> dict[str, Any]:
    """Keyword arguments that are plain values."""
    plan, workload = setup.plan, setup.job.workload
    return {
        "tp_size": plan.tp,
        "pp_size": plan.pp,
        **sequence(plan),
        "zero_stage": plan.zero,
        "cpu_offload": workload.offload == "optimizer",
        "precision": workload.precision,
        "max_norm": 1.0,
        "enable_flash_attention": setup.job.flash,
        "enable_fused_normalization": True,
        **stages(setup),
    }


def sequence(plan: OnePlan) -> dict[str, Any]:
    """Sequence parallelism inside the tensor group, or ring attention over cp ranks."""
    if plan.cp > 1:
        return {"sp_size": plan.cp, "enable_sequence_parallelism": True, "sequence_parallelism_mode": "ring_attn"}
    return {"enable_sequence_parallelism": True, "sequence_parallelism_mode": "split_gather"} if plan.sp else {}


def stages(setup: Setup) -> dict[str, Any]:
    """Schedule, micro-batches and layers per stage; chunks of interleaved stages are even."""
    plan = setup.plan
    if plan.pp == 1:
        return {}
    batches: dict[str, Any] = {"num_microbatches": plan.m, "microbatch_size": plan.b}
    batches |= {"pp_style": spelled("ColossalAI")[plan.schedule]}
    if plan.v > 1:
        return {"num_model_chunks": plan.v, **batches}
    return {**batches, "num_layers_per_stage": [count for (count,) in chunks(setup)]}


def chunks(setup: Setup) -> list[list[int]]:
    """Layers, [rank][chunk]."""
    return layers_per_chunk(setup.job.model.layers, setup.plan)


def checkpointed(setup: Setup) -> list[int]:
    """Recomputed layers of every stage, all ranks' first chunks first; empty where no or every layer is meant."""
    plan, layout = setup.plan, chunks(setup)
    if plan.recompute_layers == 0 or plan.pp == 1:
        return []
    order = [rank[chunk] for chunk in range(plan.v) for rank in layout]
    return [] if plan.recompute_layers >= max(order) else [min(plan.recompute_layers, count) for count in order]


def notes(setup: Setup) -> tuple[str, ...]:
    """What stays with the user."""
    plan = setup.plan
    said = ["train.py is your script: model, data, tokenizer and learning rate are yours; use HybridAdam"]
    if plan.pp > 1:
        said.append(
            f"the dataloader gives {plan.b * plan.m} sequences, which booster.execute_pipeline cuts into m={plan.m}"
        )
    else:
        said.append(f"the dataloader gives b={plan.b} sequences; accumulate m={plan.m} of them under booster.no_sync")
    if plan.recompute_layers:
        said.append("call model.gradient_checkpointing_enable() before booster.boost")
    if setup.job.lora:
        said.append(f"call booster.enable_lora(model, lora_config=...) first: {adapters_said(setup.job)}")
    return (*said, *kernels_said(setup.job))


TARGET = target("colossalai", program)
