"""Primus over torchtitan: its module's overrides are torchtitan's own sections."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.read.format import find_format
from planner.read.reading import Reading
from planner.read.sharding import nested
from planner.read.table import Given, text_of
from planner.read.torchtitan import read_sections
from planner.read.tree import Tree

MODULE = "modules.pre_trainer"

FLOAT8 = "quantize.linear.float8"


DATA = ("training.mock_data", "training.dataset", "training.dataset_path", "training.gc_freq")
"""Keys of data that Primus adds."""


def backend(tree: Tree) -> str:
    """The framework that a Primus experiment trains with.

    Raises:
        PlannerError: one that is not read.
    """
    name = str(tree.get(f"{MODULE}.framework", "megatron"))
    if name not in ("megatron", "torchtitan"):
        raise PlannerError(f"Primus over {name:.40} is not read", "framework: megatron, or torchtitan")
    return name


def read_primus_titan(tree: Tree, world: int) -> Reading:
    """The plan of an experiment; its model is that of a file of Primus's, by name.

    Raises:
        PlannerError: as `read_sections`; no model.
    """
    own = tree.under(f"{MODULE}.overrides")
    sections = {
        name: usual | _section(own, name) for name, usual in table("read", "titan-registry.yaml")["primus"].items()
    }
    config = nested(own) | sections
    file = str(tree.get(f"{MODULE}.model", "")).removesuffix(".yaml")
    name = re.sub(r"(?i)[-_](fp8|bf16)$", "", file)
    if not name:
        raise PlannerError(f"{MODULE}.model is missing: no model is named", "name it: --model llama3.1-8b")
    if file.endswith("-fp8"):
        config["model"] = {"converters": [FLOAT8]} | sections["model"]
    quiet = find_format("primus").table
    given = [
        Given(path, text_of(leaf.value), leaf.line)
        for path, leaf in own.leaves.items()
        if ("." in path and path not in DATA) or (group := quiet.group(path)) is None or group.kind != "without_effect"
    ]
    reading = read_sections(config, given, world, "")
    kept = tuple(one for one in reading.problems if one.rule != "unknown_key")
    return replace(reading, form="primus", model_name=name, problems=kept)


def _section(tree: Tree, name: str) -> dict[str, Any]:
    return nested(tree.under(name))
