"""What recipes set that people name instead of writing it out: Megatron-Bridge's, as data in recipes.yaml."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from planner.catalog.yamlfile import table
from planner.read.tree import scalar

NOISE = ("h100", "bf16", "config")
"""Parts of a name that all recipes here have in common."""

VERSION = "067f987d"


def settings(name: str) -> dict[str, Any]:
    """Keys and values of a recipe, with its "model"; nothing where it is not known here.

    Names are the same whichever order their parts have: llama3_70b_16k_pretrain_config is
    llama3_70b_pretrain_32gpu_h100_bf16_16k_config. A number of GPUs, where one stands there, is to be the recipe's.
    """
    if is_tuned(name):
        return performance()[name.removesuffix("_config")]
    asked = {part for part in name.split("_") if part not in NOISE}
    for parts, found in recipes():
        if parts - asked <= {part for part in parts if part.endswith("gpu")} and asked <= parts:
            return found
    return {}


@cache
def recipes() -> tuple[tuple[frozenset[str], dict[str, Any]], ...]:
    """Parts of each name, and what it sets."""
    said, found = table("read", "recipes.yaml"), []
    for name, row in said["recipes"].items():
        gpus, _, words = row.partition(" ")
        found.append((frozenset([*name.split("_"), gpus]), _keys(f"{said['base']} {words}", said)))
    return tuple(found)


def is_tuned(name: str) -> bool:
    """Whether a recipe is one for benchmarks."""
    return name.removesuffix("_config") in performance()


def first_tuned(start: str, end: str) -> str | None:
    """The recipe for benchmarks on the fewest GPUs whose name begins and ends so; None: there is none."""
    found = (re.fullmatch(rf"{re.escape(start)}_(\d+)gpu_{re.escape(end)}", name) for name in performance())
    return min(((int(one[1]), one[0]) for one in found if one), default=(0, None))[1]


@cache
def performance() -> dict[str, dict[str, Any]]:
    """Recipes for benchmarks, by their whole names without "_config"."""
    said, words = table("read", "performance.yaml"), table("read", "recipes.yaml")
    return {name: _keys(f"{said['base']} {row}", words) for name, row in said["recipes"].items()}


def precision(name: str) -> dict[str, Any] | None:
    """Keys and values of a mixed-precision recipe, or of a performance recipe's word for one; None: there is none."""
    return _precisions().get(name.replace("-", "_"))


def precision_named(half: str, fields: dict[str, Any]) -> str | None:
    """The mixed-precision recipe that sets these fields beside bf16 or fp16; formats of fp8 cost the same."""

    def told(keys: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in keys.items() if key != "fp8"}

    wanted = told(fields | {half: True})
    return next((name for name, keys in _precisions().items() if told(keys) == wanted), None)


@cache
def _precisions() -> dict[str, dict[str, Any]]:
    said = table("read", "recipes.yaml")
    return {name: _keys(row, said) for name, row in said["precisions"].items()}


def _keys(row: str, said: dict[str, Any]) -> dict[str, Any]:
    """The keys that words stand for."""
    pairs: list[str] = []
    for word in row.split():
        key, _, value = word.partition("=")
        pairs += said["words"][word].split() if word in said["words"] else [f"{said['keys'].get(key, key)}={value}"]
    return {key: scalar(value) for key, value in (pair.split("=", 1) for pair in pairs)}
