"""Megatron-Core: a Python file that builds one plan's TransformerConfig and process groups, for people's own loops.

Fields: NVIDIA/Megatron-LM core/transformer/transformer_config.py, core/model_parallel_config.py,
core/distributed/distributed_data_parallel_config.py, core/optimizer/optimizer_config.py. Ranks are laid out
tp-cp-ep-dp-pp, the first fastest (core/parallel_state.py, initialize_model_parallel): tensor parallelism stays inside
a node, and so do context parallelism and expert groups as far as they fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.blocks.ends import padded_vocabulary
from planner.launch import megatron
from planner.launch.described import notes, options, part, table, target
from planner.launch.megatron import TABLE as OPTIONS
from planner.launch.megatron import backend
from planner.launch.megatron_layout import placement_flags
from planner.launch.program import File, Program, Setup
from planner.launch.trees import as_fields
from planner.training.frameworks.megatron import OPTIMIZERS
from planner.training.trade import trade

SCRIPT = "plan.py"
FIELDS = {
    "--num-virtual-stages-per-pipeline-rank": "virtual_pipeline_model_parallel_size",
    "--decoder-first-pipeline-num-layers": "num_layers_in_first_pipeline_stage",
    "--decoder-last-pipeline-num-layers": "num_layers_in_last_pipeline_stage",
    "--pipeline-model-parallel-layout": "pipeline_model_parallel_layout",
}
"""What the arguments that place layers are called in the configuration."""

NO_FIELDS = ("order", "num_distributed_optimizer_instances")
"""Arguments of initialize_model_parallel that are no fields of the configuration."""

TABLE = table("megatron-core")


class Code(str):
    """An expression, which stands in the file as it is."""

    def __repr__(self) -> str:
        return str(self)


def program(setup: Setup) -> Program:
    """The user's train.py, which imports from plan.py."""
    own = megatron.program(setup)
    plan, said = File(SCRIPT, module(setup)), notes("megatron-core", setup)
    return replace(own, script="train.py", flags=(), files=(plan,), notes=said)


def module(setup: Setup) -> str:
    """plan.py: five sets of keyword arguments and the two calls that every loop starts with."""
    config = "MLATransformerConfig" if setup.job.model.mla else "TransformerConfig"
    sets = {
        "GROUPS": groups(setup),
        "CONFIG": transformer(setup),
        **{name.upper(): said(setup, name) for name in ("model", "gradients", "optimizer", "batch")},
    }
    body = "\n".join(f"{name} = dict(\n{keywords(values)})" for name, values in sets.items())
    return HEAD.format(config=config) + body + TAIL.format(config=config)


def keywords(values: dict[str, Any]) -> str:
    """One keyword argument per line."""
    return "".join(f"    {name}={value!r},\n" for name, value in values.items())


HEAD = '''"""The parallel plan: keyword arguments for Megatron-Core."""

import torch
import torch.nn.functional as F
from megatron.core import parallel_state
from megatron.core.activations import squared_relu
from megatron.core.transformer.enums import AttnBackend
from megatron.core.transformer.transformer_config import {config}

'''

TAIL = '''


def initialize_model_parallel() -> None:
    """To be called behind torch.distributed.init_process_group."""
    parallel_state.initialize_model_parallel(**GROUPS)


def transformer_config() -> {config}:
    """For GPTModel(config, layer_spec, **MODEL) of every chunk, and for the schedules."""
    return {config}(**CONFIG)
'''


def said(setup: Setup, key: str, **words: Any) -> dict[str, Any]:
    """A part of the table."""
    more = {"padded_vocabulary": padded_vocabulary, "sharding": OPTIONS["sharding"], "OPTIMIZERS": OPTIMIZERS}
    return part("megatron-core", key, setup, traded=trade(setup.job, setup.plan), NONE=Code("None"), **more, **words)


def groups(setup: Setup) -> dict[str, Any]:
    """Arguments of parallel_state.initialize_model_parallel."""
    return said(setup, "groups")


def transformer(setup: Setup) -> dict[str, Any]:
    """Fields of TransformerConfig."""
    recipe = setup.job.recipe
    fields = {
        "shape": shape(setup),
        "groups": {name: value for name, value in groups(setup).items() if name not in NO_FIELDS},
        "placement": placement(setup),
        "narrow": as_fields(options((recipe.spelled.megatron or {}).items())),
        "dtype": Code("torch.float16" if recipe.activations == "fp16" else "torch.bfloat16"),
        "backend": backend(setup.job),
        "dispatching": dispatching(setup) if setup.job.model.moe else {},
        "captured": graphs(setup),
        "fields": lambda *parts: as_fields(megatron.flags(setup, *parts)),
    }
    return said(setup, "config", code=Code, **fields)


def dispatching(setup: Setup) -> dict[str, Any]:
    """How tokens reach experts, and how many each takes."""
    kind, *more = megatron.flags(setup, "dispatch")
    return as_fields([kind, *megatron.flags(setup, "capacity"), *more])


def graphs(setup: Setup) -> dict[str, Any]:
    """CUDA graphs; whether gradients are looked at for NaN is the loop's own."""
    fields = as_fields(megatron.flags(setup, "graphs"))
    return {name: value for name, value in fields.items() if name.startswith("cuda_graph")}


def shape(setup: Setup) -> dict[str, Any]:
    """The model: what its options say, and what they leave to Megatron-LM's parser."""
    model, said = setup.job.model, as_fields(megatron.flags(setup, *megatron.SHAPE))
    usual = {"normalization": "LayerNorm", "add_bias_linear": True, "add_qkv_bias": False}
    usual |= {"q_lora_rank": None, "rope_type": "rope"} if model.mla else {"num_query_groups": model.kv_heads}
    found = usual | said
    found |= {"gated_linear_unit": model.mlp == "glu", "activation_func": Code(TABLE["activations"][model.mlp])}
    found |= {"num_moe_experts": model.moe.experts} if model.moe else {}
    found |= {"window_size": tuple(said["window_size"])} if "window_size" in said else {}
    found |= {"moe_layer_freq": Code(said["moe_layer_freq"])} if "moe_layer_freq" in said else {}
    return {name: found[name] for name in TABLE["shape"].split() if name in found}


def placement(setup: Setup) -> dict[str, Any]:
    """Uneven ends or a layout; the number of virtual stages stands among the sizes."""
    flags = placement_flags(setup.job.model, setup.plan)
    return {FIELDS[name]: value if "layout" in name else int(value) for name, value in flags}


TARGET = target("megatron-core", program, megatron.TARGET.rules, OPTIMIZERS=OPTIMIZERS)
