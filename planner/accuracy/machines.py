"""From the names of GPUs, networks and frameworks in a row to the packaged profiles."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any

from planner.accuracy.mapping import FALLBACK_PRESET, MACHINES, SAID, Machine
from planner.accuracy.rows import Row, Unusable, whole
from planner.catalog.library import Library
from planner.errors import AmbiguousName
from planner.frozen import frozen
from planner.schema.framework import Framework
from planner.schema.hardware import Accelerator, Cluster, Link, Node

LARGEST_MESH = 8
"""Accelerators that NVLink joins without a switch (DGX-1)."""


@frozen
class Shelf:
    """A library that reads each profile once."""

    library: Library
    seen: dict[tuple[str, str], Any] = field(default_factory=dict)

    def find(self, kind: str, name: str) -> Any:
        """The profile of that name, or None."""
        key = kind, name
        if key not in self.seen:
            try:
                found = self.library.lookup(kind, name)
            except AmbiguousName:
                found = None
            self.seen[key] = None if found is None else found.value
        return self.seen[key]

    def first(self, kind: str, names: tuple[str, ...]) -> Any:
        """The first profile that exists, or None."""
        return next((found for name in names if (found := self.find(kind, name)) is not None), None)


def find_framework(shelf: Shelf, row: Row) -> tuple[Framework, tuple[str, ...]]:
    """The preset that stands for the row's framework, and a label when it is a stand-in for one of its own."""
    text, notes = row.get("framework", ""), f"{row.get('notes', '')} {row.get('source', '')}"
    lines = (found for begins, holds, found in SAID["frameworks"] if text.startswith(begins) and holds in notes)
    presets = next(lines, (text.lower().replace(" ", "-") or "unnamed", FALLBACK_PRESET))
    preset: Framework = shelf.first("framework", (*presets, FALLBACK_PRESET))
    return preset, () if preset.name == presets[0] else (f"preset:{presets[0]}",)


def find_cluster(shelf: Shelf, row: Row) -> tuple[Cluster, tuple[str, ...]]:
    """The accelerators of a row in nodes of `gpus_per_node`, with the network that `interconnect` describes.

    Raises:
        Unusable: an unknown GPU, a count that fills no nodes, or nodes without a network.
    """
    accelerator, machine, labels = _accelerator(shelf, row)
    plain: Node = shelf.find("node", accelerator.node)
    gpus, per_node = whole(row, "n_gpus"), whole(row, "gpus_per_node") or plain.count
    if gpus is None:
        raise Unusable("no number of GPUs")
    used = min(gpus, per_node)
    if gpus % used:
        raise Unusable(f"{gpus} GPUs do not fill nodes of {per_node}")
    scaleup = _scaleup(shelf, plain, machine, per_node)
    network = _network(shelf, row, plain, per_node)
    if network is None and gpus > used and (scaleup is None or (scaleup.domain or per_node) < gpus):
        raise Unusable(f"no network is known for several nodes of {accelerator.name}")
    rate = None if network is None else network.rate
    changes = {"count": per_node, "scaleup": scaleup, "network": network, "network_rate": rate}
    node = plain.model_copy(update=changes)
    fields = {"accelerator": accelerator, "node": node, "scaleup": scaleup, "network": network}
    return Cluster.model_validate(fields | {"nodes": gpus // used, "used": used}), labels


def _accelerator(shelf: Shelf, row: Row) -> tuple[Accelerator, Machine, tuple[str, ...]]:
    name = row.get("gpu", "")
    machine = MACHINES.get(name) or Machine((name,))
    found: Accelerator | None = shelf.first("accelerator", machine.accelerators) if name else None
    if found is None:
        raise Unusable(f"unknown GPU {name[:40]!r}" if name else "no GPU")
    own = len(machine.accelerators) == 1 or found.name == machine.accelerators[0]
    if own:
        return found, machine, ()
    return found.model_copy(update=machine.changes), machine, (f"hardware:{machine.accelerators[0]}",)


def _scaleup(shelf: Shelf, plain: Node, machine: Machine, per_node: int) -> Link | None:
    """The link inside a node; meshes end at 8 accelerators, what joins 16 (DGX-2) is a switch."""
    link: Link | None = shelf.find("link", plain.scaleup) if isinstance(plain.scaleup, str) else plain.scaleup
    if link is not None and link.kind == "mesh" and per_node > LARGEST_MESH:
        link = link.model_copy(update={"kind": "switch", "pair_rate": None})
    if link is None or machine.scaleup is None:
        return link
    return link.model_copy(update={"rate": min(link.rate, machine.scaleup)})


def _network(shelf: Shelf, row: Row, plain: Node, per_node: int) -> Link | None:
    """The link that the words name at the rate that the numbers give, per accelerator and direction.

    A node's adapters serve all its accelerators alike: rate = node's rate / gpus_per_node. Words or numbers that the
    row lacks are those of the GPU's plain node.
    """
    text = row.get("interconnect", "")
    names = next((links for word, links in SAID["networks"] if word in text), None)
    link: Link | None = shelf.first("link", names) if names else None
    if link is None:
        link = shelf.find("link", plain.network) if isinstance(plain.network, str) else plain.network
    if link is None:
        return None
    total = node_rate(text, per_node)
    stated = link.rate if plain.network_rate is None else plain.network_rate * plain.count / per_node
    return link.model_copy(update={"rate": stated if total is None else total / per_node})


_GBPS = r"(\d+(?:\.\d+)?)\s*G(?:b/s|bps|b)"


def node_rate(text: str, per_node: int) -> float | None:
    """Bytes per second and direction that leave a node, out of words such as "8x200 Gbps HDR IB per node".

    "= 800 Gb/s per node" and "1600 Gbps/node" are totals, "400 Gb/s per GPU" is times the GPUs, "8x200 Gb/s" and "4
    links/node (100 Gb/s each)" are products; 1 Gb/s = 1.25e8 byte/s. None when no rate is stated.
    """
    patterns = (
        (rf"=\s*{_GBPS}\s*per node", 1.0),
        (rf"{_GBPS}\s*/\s*node", 1.0),
        (rf"{_GBPS}\s*per GPU", float(per_node)),
    )
    for pattern, times in patterns:
        if found := re.search(pattern, text):
            return float(found[1]) * times * 1.25e8
    product = re.search(rf"(\d+)\s*x\s*(?:[A-Za-z][\w-]*\s+)*?{_GBPS}", text) or re.search(
        rf"(\d+)\s*links?/node\s*\({_GBPS}", text
    )
    if product:
        return float(product[1]) * float(product[2]) * 1.25e8
    return next((rate for words, rate in SAID["node_rates"] if words in text), None)
