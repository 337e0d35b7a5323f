"""torchtitan 0.2.2: train.toml for one plan. 0.3 took TOML away, so that this is one pinned generation.

Keys and checks: pytorch/torchtitan at tag v0.2.2, config/job_config.py, distributed/parallel_dims.py,
distributed/pipeline_parallel.py, models/*/__init__.py. The mesh is pp, dp_replicate, dp_shard, cp, tp, the last
fastest: tensor parallelism stays inside a node.
"""

from __future__ import annotations

from typing import Any

from planner.launch.described import table, target
from planner.launch.program import File, Program, Setup
from planner.schema.model import Model
from planner.stages import chunk_layers, layers_per_chunk
from planner.training.frameworks.torchtitan import SCHEDULES
from planner.training.trade import trade

CONFIG = "train.toml"
STEPS = 20
TABLE = table("torchtitan")

FLAVORS: dict[tuple[int, ...], tuple[str, str]] = {
    tuple(shape): (name, flavor) for name, flavors in TABLE["flavors"].items() for flavor, shape in flavors.items()
}
"""Registered models by (layers, hidden, ffn, heads, kv_heads, vocab, experts)."""


def program(setup: Setup) -> Program:
    """torchtitan's trainer with one file of options."""
    return Program(
        "-m torchtitan.train",
        (("--job.config_file", CONFIG),),
        {"PYTORCH_ALLOC_CONF": "expandable_segments:True"},
        files=(File(CONFIG, toml(config(setup))),),
        notes=notes(setup),
    )


def toml(sections: dict[str, dict[str, Any]]) -> str:
    """Sections of plain values and lists."""
    texts = (f"[{name}]\n" + "".join(f"{k} = {value(v)}\n" for k, v in rows.items()) for name, rows in sections.items())
    return "\n".join(texts)


def value(item: Any) -> str:
    """One TOML value. JSON writes numbers, booleans, strings and lists alike."""
    from json import dumps

    if isinstance(item, list) and item and isinstance(item[0], list):
        return "[\n" + "".join(f"    {dumps(row)},\n" for row in item) + "]"
    return dumps(item)


def config(setup: Setup) -> dict[str, dict[str, Any]]:
    """All sections."""
    name, flavor = registered(setup.job.model)
    return {
        "job": {"description": f"{setup.job.model.name} on {setup.job.cluster.gpus} GPUs"},
        "metrics": {"log_freq": 1},
        "model": {"name": name, "flavor": flavor or setup.job.model.name, **converters(setup)},
        "optimizer": {"name": "AdamW"},
        "training": training(setup),
        "parallelism": parallelism(setup),
        "activation_checkpoint": activation_checkpoint(setup),
        "compile": {"enable": setup.job.framework.name == "torchtitan", "components": ["model", "loss"]},
        **quantize(setup),
    }


def converters(setup: Setup) -> dict[str, Any]:
    """What turns linear layers into ones below 16 bit."""
    spelled = setup.job.recipe.spelled.torchtitan
    return {"converters": [spelled[0]]} if spelled else {}


def quantize(setup: Setup) -> dict[str, dict[str, Any]]:
    """The converter's own section; head and router stay in 16 bit."""
    spelled = setup.job.recipe.spelled.torchtitan
    if spelled is None:
        return {}
    rows: dict[str, Any] = {"recipe_name": spelled[1], "filter_fqns": ["output", "router.gate"]}
    gathers = {"enable_fsdp_float8_all_gather": True} if setup.job.workload.fp8_param_gather else {}
    return {spelled[0]: rows | gathers}


def registered(model: Model) -> tuple[str, str | None]:
    """Directory and flavor of a model; no flavor where none has its shape."""
    experts = model.moe.experts if model.moe else 0
    shape = (model.layers, model.hidden, model.ffn, model.heads, model.kv_heads, model.vocab, experts)
    return FLAVORS.get(shape, (TABLE["families"].get(model.family, "llama3"), None))


def training(setup: Setup) -> dict[str, Any]:
    """Batch and number formats. A pipeline cuts its local batch of b*m; without one m is gradient accumulation."""
    plan, workload = setup.plan, setup.job.workload
    return {
        "local_batch_size": plan.b * plan.m if plan.pp > 1 else plan.b,
        "global_batch_size": workload.global_batch,
        "seq_len": workload.seq,
        "steps": STEPS,
        "dtype": "bfloat16" if workload.optimizer == "adam-bf16" else "float32",
        "mixed_precision_param": "bfloat16",
        "mixed_precision_reduce": "float32",
        **({"enable_cpu_offload": True} if workload.offload == "parameters" else {}),
    }


ROTATE = {"p2p": "alltoall", "allgather": "allgather"}
"""context_parallel_rotate_method by kind: its all-to-all passes blocks round a ring (PyTorch
distributed/tensor/experimental/_attention.py)."""


def parallelism(setup: Setup) -> dict[str, Any]:
    """Degrees, sharding and stages. Sequence parallelism comes with tp."""
    plan = setup.plan
    shard = plan.zero == 3
    degrees: dict[str, Any] = {
        "data_parallel_replicate_degree": plan.dp_replicate if shard else plan.dp,
        "data_parallel_shard_degree": plan.dp // plan.dp_replicate if shard else 1,
        **({"fsdp_reshard_after_forward": "always"} if shard else {}),
        "tensor_parallel_degree": plan.tp,
        "context_parallel_degree": plan.cp,
        **({"context_parallel_rotate_method": ROTATE[found.kind]} if (found := trade(setup.job, plan)) else {}),
        "pipeline_parallel_degree": plan.pp,
    }
    experts: dict[str, Any] = {"expert_parallel_degree": plan.ep, "expert_tensor_parallel_degree": plan.etp}
    experts |= {"expert_parallel_comm_backend": "deepep"} if plan.dispatcher == "deepep" else {}
    return degrees | (experts if setup.job.model.moe else {}) | (stages(setup) if plan.pp > 1 else {})


def stages(setup: Setup) -> dict[str, Any]:
    """Schedule, micro-batches and layers of every stage, in torch's order: all ranks' first chunks first."""
    plan = setup.plan
    chunks = layers_per_chunk(setup.job.model.layers, plan)
    order = [rank[chunk] for chunk in range(plan.v) for rank in chunks]
    return {
        "pipeline_parallel_schedule": SCHEDULES[plan.schedule],
        "pipeline_parallel_microbatch_size": plan.b,
        **layers(order),
    }


def layers(order: list[int]) -> dict[str, Any]:
    """Three numbers where all stages but the ends are alike (the ends may have less), else every stage's modules.

    torchtitan counts embedding and head as first_less and last_less layers and deals the sum out evenly.
    """
    most = max(order)
    first, last = most - order[0], most - order[-1]
    if set(order[1:-1]) <= {most}:
        return {
            "pipeline_parallel_layers_per_stage": most,
            "pipeline_parallel_first_stage_less_layers": first,
            "pipeline_parallel_last_stage_less_layers": last,
        }
    return {"module_fqns_per_model_part": modules(order)}


def modules(order: list[int]) -> list[list[str]]:
    """Names of the modules of every stage."""
    starts = [sum(order[:stage]) for stage in range(len(order))]
    parts = [[f"layers.{i}" for i in range(start, start + n)] for start, n in zip(starts, order, strict=True)]
    return [["tok_embeddings", *parts[0]], *parts[1:-1], [*parts[-1], "norm", "output"]]


def activation_checkpoint(setup: Setup) -> dict[str, Any]:
    """Nothing, one layer in n, or every layer."""
    plan = setup.plan
    if plan.recompute_layers == 0:
        return {"mode": "none"}
    chunk = int(chunk_layers(setup.job.model.layers, plan))
    if plan.recompute_layers >= chunk:
        return {"mode": "full"}
    return {"mode": "selective", "selective_ac_option": f"{chunk // plan.recompute_layers}"}


def notes(setup: Setup) -> tuple[str, ...]:
    """What stays with the user."""
    name, flavor = registered(setup.job.model)
    said = ["set model.hf_assets_path to a tokenizer (scripts/download_hf_assets.py) and training.dataset to your data"]
    if flavor is None:
        registry = f"torchtitan/models/{name}/__init__.py"
        said.append(f'0.2.2 has no model of this shape: register "{setup.job.model.name}" in {registry}')
    said.append("learning rate and warm-up are torchtitan's defaults")
    return tuple(said)


TARGET = target("torchtitan", program)
