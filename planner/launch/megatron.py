"""Megatron-LM's arguments: one plan of one model as flags of pretrain_gpt.py.

Names and defaults: NVIDIA/Megatron-LM training/arguments.py and core/transformer/transformer_config.py.
"""

from __future__ import annotations

from typing import Any

from planner.catalog.expressions import rows
from planner.cost.dispatch import ONE_COPY
from planner.launch.described import Words, notes, options, table, target
from planner.launch.megatron_layout import placement_flags
from planner.launch.program import Flag, Program, Setup
from planner.plan import OnePlan
from planner.schema.model import MixtureOfExperts, Model
from planner.stages import chunk_layers
from planner.training.frameworks.megatron import OPTIMIZERS
from planner.training.job import Job
from planner.training.trade import trade

TABLE = table("megatron")


def program(setup: Setup) -> Program:
    """pretrain_gpt.py with the flags of one plan, on mock data until the user gives some.

    Overlapped traffic of experts wants several connections, tp and cp else one (core/transformer/moe/README.md).
    """
    plan = setup.plan
    parts = (*SHAPE, *PARALLEL, "recompute", *PRECISION, "batch", "mock", "run")
    serial = (plan.tp > 1 or plan.cp > 1) and plan.zero < 2
    return Program(
        "pretrain_gpt.py",
        flags(setup, *parts),
        {"CUDA_DEVICE_MAX_CONNECTIONS": "32" if plan.overlap else "1"} if serial else {},
        ("CUDA_DEVICE_MAX_CONNECTIONS",) if plan.zero >= 2 or (plan.overlap and not serial) else (),
        notes=notes("megatron", setup),
    )


SHAPE = ("sizes", "lengths", "words", "attention", "mlp", "biases", "ends")
PARALLEL = ("degrees", "context", "placement", "experts", "dispatch", "capacity", "sequence", "states")
PRECISION = ("products", "narrow", "backend", "graphs", "loss", "activations")
"""Parts of the table, in the order in which they are written."""

MASK = 2**30
"""Bytes of s x s per sequence from which on the data loader is told to make no mask, which flash attention ignores."""


def flags(setup: Setup, *parts: str) -> tuple[Flag, ...]:
    """Options of these parts of the table."""
    said = words(setup)
    return tuple(flag for part in parts for flag in options(rows(TABLE["flags"][part], said)))


def words(setup: Setup) -> Words:
    """What the table names."""
    more = KNOWN | {"traded": trade(setup.job, setup.plan), "placement": placement}
    return Words(setup.job, setup.plan, more)


def shaped(model: Model) -> tuple[Flag, ...]:
    """Attention and feed-forward part of a model, whatever the job."""
    said = KNOWN | {"model": model}
    return tuple(flag for part in ("attention", "mlp") for flag in options(rows(TABLE["flags"][part], said)))


def placement(model: Model, plan: OnePlan) -> dict[str, str]:
    """Where the plan puts its layers."""
    return {name[2:]: value for name, value in placement_flags(model, plan)}


def layer_frequency(layers: int, moe: MixtureOfExperts) -> str:
    """Which layers have experts, as the list expression that Megatron evaluates: "([0]*3+[1]*58)"."""
    rest = layers - moe.dense_layers
    if moe.every == 1:
        return f"([0]*{moe.dense_layers}+[1]*{rest})"
    period, left = divmod(rest, moe.every)
    pattern = ",".join(["1"] + ["0"] * (moe.every - 1))
    tail = ",".join((["1"] + ["0"] * (moe.every - 1))[:left])
    head = f"[0]*{moe.dense_layers}+" if moe.dense_layers else ""
    return f"({head}[{pattern}]*{period}" + (f"+[{tail}])" if left else ")")


FUSIONS = {"fused": "te", "vocab-parallel": "native"}
"""--cross-entropy-fusion-impl by loss: Transformer Engine's kernel, which Megatron-LM's own parser refuses from 0.18
on, or Megatron's with its few kernels fused."""


def backend(job: Job) -> str:
    """Megatron-LM's name of an attention kernel: core/transformer/enums.py, AttnBackend; "auto" is its own choice."""
    if not job.flash:
        return "unfused"
    named = {"flash": "auto", "cudnn": "fused", "ck": "fused"}
    return named.get(job.workload.attention, "flash")


KNOWN: dict[str, Any] = {
    "layer_frequency": layer_frequency,
    "chunk_layers": chunk_layers,
    "backend": backend,
    "sharding": TABLE["sharding"],
    "FUSIONS": FUSIONS,
    "ONE_COPY": ONE_COPY,
    "OPTIMIZERS": OPTIMIZERS,
    "MASK": MASK,
}
"""What the table names beside `Words`."""


TARGET = target("megatron", program)
