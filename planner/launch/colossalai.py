"""ColossalAI: HybridParallelPlugin's arguments for one plan.

Names and checks: hpcaitech/ColossalAI booster/plugin/hybrid_parallel_plugin.py, pipeline/stage_manager.py,
pipeline/schedule, shardformer/shard/grad_ckpt_config.py. The mesh is dp, pp, tp (dp, pp, sp, tp with ring attention),
the last fastest: tensor parallelism stays inside a node, and pipeline stages are nearer than replicas.
"""

from __future__ import annotations

from typing import Any

from planner.launch.described import notes, part, target
from planner.launch.program import File, Program, Setup, kernels_said
from planner.schedules import spelled
from planner.stages import layers_per_stage

SCRIPT = "plan.py"


def program(setup: Setup) -> Program:
    """The user's train.py, which imports `plugin` from plan.py."""
    said = (*notes("colossalai", setup, batch=setup.plan.b * setup.plan.m), *kernels_said(setup.job))
    return Program("train.py", (), files=(File(SCRIPT, module(setup)),), notes=said)


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
    stages = layers_per_stage(setup.job.model.layers, setup.plan)
    return part("colossalai", "arguments", setup, spelled=spelled("ColossalAI"), stages=stages)


def checkpointed(setup: Setup) -> list[int]:
    """Recomputed layers of every stage, all ranks' first chunks first; empty where no or every layer is meant."""
    plan, order = setup.plan, layers_per_stage(setup.job.model.layers, setup.plan)
    if plan.recompute_layers == 0 or plan.pp == 1:
        return []
    return [] if plan.recompute_layers >= max(order) else [min(plan.recompute_layers, count) for count in order]


TARGET = target("colossalai", program)
