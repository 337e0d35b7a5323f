"""What recipes set that people name instead of writing it out: Megatron-Bridge's, as data in recipes.yaml."""

from __future__ import annotations

from functools import cache
from typing import Any

from planner.read.table import packaged
from planner.read.tree import scalar

NOISE = ("h100", "bf16", "config")
"""Parts of a name that all recipes here have in common."""

VERSION = "067f987d"


def settings(name: str) -> dict[str, Any]:
    """Keys and values of a recipe, with its "model"; nothing where it is not known here.

    Names are the same whichever order their parts have: llama3_70b_16k_pretrain_config is
    llama3_70b_pretrain_32gpu_h100_bf16_16k_config. A number of GPUs, where one stands there, is to be the recipe's.
    """
    asked = {part for part in name.split("_") if part not in NOISE}
    for parts, found in recipes():
        if parts - asked <= {part for part in parts if part.endswith("gpu")} and asked <= parts:
            return found
    return {}


@cache
def recipes() -> tuple[tuple[frozenset[str], dict[str, Any]], ...]:
    """Parts of each name, and what it sets."""
    said, found = packaged("recipes.yaml"), []
    for name, row in said["recipes"].items():
        gpus, *words = row.split()
        pairs = said["base"].split()
        for word in words:
            key, _, value = word.partition("=")
            pairs += said["words"][word].split() if word in said["words"] else [f"{said['keys'].get(key, key)}={value}"]
        values = dict(pair.split("=", 1) for pair in pairs)
        found.append((frozenset([*name.split("_"), gpus]), {key: scalar(value) for key, value in values.items()}))
    return tuple(found)
