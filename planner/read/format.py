"""Formats as data: which keys tell one, what each says of the job, what holds where nothing is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from functools import cache
from typing import Any

from planner.catalog import yamlfile
from planner.frozen import frozen
from planner.read.table import Table, key, table
from planner.read.tree import Tree

FORMATS = (
    *(
        "llamafactory",
        "llamafactory-v1",
        "axolotl",
        "swift",
        "swift-megatron",
        "torchtune",
        "automodel",
        "verl",
        "nemo-rl",
        "openrlhf",
    ),
    *("nanotron", "neox", "foundry", "lightning", "bridge", "primus", "megatron-tree", "accelerate", "trl"),
    "transformers",
)
"""Tables in planner/read/tables that are formats of whole jobs."""


PECULIAR = 4
"""Telling keys of a general format that weigh as much as one that no other has."""


@frozen
class Format:
    """How one framework writes a job.

    Attributes:
        table: what becomes of each of its keys; of modelled ones `to` is a field of `planner.read.job`, or
            "field=value" of a switch.
        target: whose edits and rules come nearest, of `planner.launch.targets`. presets: whose speed, the first known.
        telling: keys that only this format has, and words that tell it from others that have them too.
        defaults: fields as the framework takes them where the file is silent.
        flat: sections carry no meaning: a key is looked up by its last part. general: others share its telling keys.
        megatron: its keys are options of Megatron-LM. commands: programs that read it.
        unchecked: checks of Megatron-LM's own parser, by name, that a framework with another parser does not make.
        writes: for `planner.launch.tuner`: `words` of values by field, `always` what a short run has beside.
    """

    table: Table
    target: str
    presets: tuple[str, ...]
    telling: tuple[str, ...]
    defaults: dict[str, Any]
    flat: bool = False
    general: bool = False
    megatron: bool = False
    commands: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    writes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """That of its table."""
        return self.table.name

    @property
    def title(self) -> str:
        """The framework as people call it."""
        return self.table.framework

    def shaped(self, tree: Tree) -> Tree:
        """The tree as its table looks keys up."""
        return tree.flat() if self.flat else tree

    def score(self, tree: Tree) -> tuple[int, int]:
        """How many telling keys, and how many keys of the table, a tree has."""
        seen = self.shaped(tree)
        told = sum(self._tells(seen, one) for one in self.telling)
        return told, sum(self.table.group(name) is not None for name in seen.leaves)

    @staticmethod
    def _tells(tree: Tree, one: str) -> bool:
        name, _, value = one.partition("=")
        if name.endswith(".*"):
            return any(path.startswith(name[:-1]) for path in tree.leaves)
        return name in tree and (not value or str(tree.get(name)).lower().startswith(value))


@cache
def find_format(name: str) -> Format:
    """The format of planner/read/tables/NAME.yaml."""
    said = yamlfile.table("read", f"tables/{name}.yaml")
    return Format(
        table(name),
        said["target"],
        tuple(said["preset"].split()),
        tuple(map(key, said["telling"].split())),
        said.get("defaults") or {},
        bool(said.get("flat")),
        bool(said.get("general")),
        said.get("reader") == "megatron",
        tuple(str(said.get("commands", "")).split()),
        tuple(str(said.get("unchecked", "")).split()),
        said.get("writes") or {},
    )


def formats() -> Iterator[Format]:
    """All of them."""
    return map(find_format, FORMATS)


def detect(tree: Tree) -> Format | None:
    """The format whose keys a tree has; None where no telling key of any is there."""
    scored = [(one, *one.score(tree)) for one in formats()]
    told = [
        (told * (1 if one.general else PECULIAR), not one.general, known, one) for one, told, known in scored if told
    ]
    return max(told, key=lambda row: row[:3])[3] if told else None


def nearest(tree: Tree) -> str:
    """ "axolotl (2 of 5 keys: base_model, micro_batch_size)": what an unknown file comes nearest to; "" for nothing."""
    best, known = "", list[str]()
    for one in formats():
        seen = one.shaped(tree)
        found = [name for name in seen.leaves if one.table.group(name) is not None]
        if len(found) > len(known):
            best, known = one.title, found
    return f"{best} ({len(known)} of {len(tree.leaves)} keys: {', '.join(known[:4])[:120]})" if best else ""
