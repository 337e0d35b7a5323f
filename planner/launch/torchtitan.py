"""torchtitan 0.2.2: train.toml for one plan. 0.3 took TOML away, so that this is one pinned generation.

Keys and checks: pytorch/torchtitan at tag v0.2.2, config/job_config.py, distributed/parallel_dims.py,
distributed/pipeline_parallel.py, models/*/__init__.py. The mesh is pp, dp_replicate, dp_shard, cp, tp, the last
fastest: tensor parallelism stays inside a node.
"""

from __future__ import annotations

from typing import Any

from planner.launch.described import notes, part, table, target
from planner.launch.program import File, Program, Setup
from planner.schema.model import Model
from planner.stages import chunk_layers, layers_per_stage
from planner.training.frameworks.torchtitan import SCHEDULES
from planner.training.trade import trade

CONFIG = "train.toml"
TABLE = table("torchtitan")

FLAVORS: dict[tuple[int, ...], tuple[str, str]] = {
    tuple(shape): (name, flavor) for name, flavors in TABLE["flavors"].items() for flavor, shape in flavors.items()
}
"""Registered models by (layers, hidden, ffn, heads, kv_heads, vocab, experts)."""


def program(setup: Setup) -> Program:
    """torchtitan's trainer with one file of options."""
    directory, flavor = registered(setup.job.model)
    return Program(
        "-m torchtitan.train",
        (("--job.config_file", CONFIG),),
        {"PYTORCH_ALLOC_CONF": "expandable_segments:True"},
        files=(File(CONFIG, toml(config(setup))),),
        notes=notes("torchtitan", setup, directory=directory, flavor=flavor),
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
    plan, model = setup.plan, setup.job.model
    directory, flavor = registered(model)
    more: dict[str, Any] = {"directory": directory, "flavor": flavor, "layers": layers, "SCHEDULES": SCHEDULES}
    more |= {"order": layers_per_stage(model.layers, plan), "chunk": int(chunk_layers(model.layers, plan))}
    narrow = part("torchtitan", "narrow", setup) if setup.job.recipe.spelled.torchtitan else {}
    return part("torchtitan", "config", setup, traded=trade(setup.job, plan), narrow=narrow, **more)


def registered(model: Model) -> tuple[str, str | None]:
    """Directory and flavor of a model; no flavor where none has its shape."""
    experts = model.moe.experts if model.moe else 0
    shape = (model.layers, model.hidden, model.ffn, model.heads, model.kv_heads, model.vocab, experts)
    return FLAVORS.get(shape, (TABLE["families"].get(model.family, "llama3"), None))


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


TARGET = target("torchtitan", program)
