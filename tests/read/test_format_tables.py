"""No key of a format is dropped: what a table calls modelled moves the reading, what it calls not modelled is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner.errors import PlannerError
from planner.read.configured import read_format
from planner.read.context import Context
from planner.read.format import Format, formats
from planner.read.job import FLAGS, WHOLE, WORDS
from planner.read.shapes import model_of
from planner.read.table import Group
from planner.read.tree import Leaf, Tree, read_tree
from tests.read.corpus import SAMPLES

ASIDE = ("set", "shape", "component", "loss_component", "deepspeed", "rollouts")
"""Fields that need a value of their own kind; the corpus has them."""

ALONE = {form.name: form for form in formats() if not form.megatron}
"""Formats with fields of their own; those in Megatron-LM's names are tested with its options."""

VALUES: dict[str, tuple[Any, ...]] = {
    "method": ("lora", "full"),
    "optimizer": ("adamw", "adamw_8bit", "lion"),
    "attention": ("flash_attention_2", "eager"),
    "precision": ("bf16", "fp16"),
    "recompute": ("full", "none"),
    "sharding": ("FULL_SHARD", "SHARD_GRAD_OP"),
    "engine": ("FSDP", "NO", "DEEPSPEED"),
    "stage": ("sft", "dpo"),
    "offload": ("cpu", "none"),
    "fsdp": ("full_shard", "shard_grad_op", ""),
    "zero": (0, 1, 2, 3),
    "bits": (4, 8),
    "fsdp_version": (1, 2),
    "tp_mode": ("REDUCE_SCATTER", "ALL_REDUCE"),
    "megatron": (True, False),
    "dist": (True, False),
    "narrow": (True, False),
    "te_recipe": ("current", "block"),
    "dispatcher": ("deepep", "torch"),
    "pipeline_b": (1, 2),
    "narrow_recipe": ("tensorwise", "rowwise"),
    "narrow_gathered": (True, False),
}


def bare(form: Format) -> Tree:
    """The smallest configuration of a format from which every key can be toggled."""
    least = {
        "nanotron": next(one.text for one in SAMPLES if one.name == "nanotron"),
        "neox": next(one.text for one in SAMPLES if one.name == "neox-plain"),
        "foundry": next(one.text for one in SAMPLES if one.name == "foundry-pretrain"),
    }
    return read_tree(least[form.name], "x") if form.name in least else Tree()


AROUND = {
    "bits": {"method": "lora"},
    "rank": {"method": "lora"},
    "lora_dim": {"method": "lora"},
    "targets": {"method": "lora", "targets": "mlp"},
    "parameters": {"method": "lora", "targets": "attention"},
    "gates": {"loss": "linear"},
    "quantize_experts": {"method": "lora", "bits": 4},
    "dp_replicate": {"engine": "fsdp"},
    "dp_shard": {"engine": "fsdp"},
    "sharding": {"engine": "fsdp"},
    "fsdp_version": {"reshard": False, "sharding": 3},
    "pure": {"method": "full"},
    "precision": {"precision": None},
    "nodes": {"per_node": 8},
    "reshard": {"engine": "fsdp"},
    "sp": {"tp": 2},
    "tp_mode": {"tp": 2},
    "m": {"b": 2},
    "rollouts": {"b": 2},
    "prompt": {"response": 16},
    "response": {"prompt": 16},
    "narrow_recipe": {"narrow": True},
    "pipeline_b": {"pp": 2},
    "narrow_gathered": {"narrow": True},
}
"""Fields by what has to be set beside them."""


def outcome(form: Format, tree: Tree, extra: dict[str, Any]) -> object:
    """All that a reading says, but for where."""
    widened = replace(form, defaults={**form.defaults, **extra})
    try:
        reading = read_format(tree, widened, Context(16, None, {}, lambda name: None, 2))
    except PlannerError as error:
        return str(error)
    named = tuple((one.option, one.value) for one in reading.not_modelled)
    return repr(
        (
            reading.target,
            reading.plan,
            reading.workload,
            reading.model_name,
            reading.recomputed,
            named,
            reading.notes,
            reading.preset,
        )
    )


def to(form: Format, key: str) -> str:
    """The field that a key sets."""
    group = form.table.group(key)
    return group.to.partition("=")[0] if group else ""


def values(group: Group) -> tuple[Any, ...]:
    """Values that a key of a group may have."""
    name, switch, _ = group.to.partition("=")
    if switch or name in FLAGS:
        return (True, False)
    if name in VALUES:
        return VALUES[name]
    return (2, 4) if name in WHOLE else ("some/model", "other/model") if name not in WORDS else (True, False)


MODELLED = [
    (form, group, option)
    for form in ALONE.values()
    for group in form.table.groups
    if group.kind == "modelled" and group.to.partition("=")[0] not in ASIDE
    for option in group.options
]


@pytest.mark.parametrize("name", ALONE)
def test_modelled_keys_move_the_reading(name: str) -> None:
    """Each value against each other and against silence."""
    still = []
    for form, group, option in MODELLED:
        if form.name != name:
            continue
        field = group.to.partition("=")[0]
        extra = AROUND.get(field, {})
        tree = Tree({key: leaf for key, leaf in bare(form).leaves.items() if to(form, key) != field})
        said = {outcome(form, tree, extra)}
        for value in values(group):
            said.add(outcome(form, Tree({**tree.leaves, option: Leaf(value, 1, option)}), extra))
        if len(said) < 2:
            still.append((option, group.to))
    assert not still


@pytest.mark.parametrize("name", ALONE)
def test_keys_that_are_not_modelled_are_named(name: str) -> None:
    """With what they touch."""
    form = ALONE[name]
    rows = {option: group for _, (option, group) in form.table.rows.items() if group.kind == "not_modelled"}
    for option, group in rows.items():
        if option.endswith("*"):
            continue
        tree = Tree({option: Leaf("zzz", 3, option)})
        named = form.table.not_modelled([])
        found = read_format(Tree({**bare(form).leaves, **tree.leaves}), form, Context(8)).not_modelled
        assert named == ()
        assert any(one.option == option and one.touches == group.touches and one.why for one in found), option


def test_shapes_come_from_formats_that_hold_them() -> None:
    """None elsewhere."""
    from planner.read.job import Job

    assert all(
        model_of(Job(form, {}), Tree()) is None
        for name, form in ALONE.items()
        if name not in ("nanotron", "neox", "foundry")
    )
