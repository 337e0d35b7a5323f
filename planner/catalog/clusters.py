"""Which accelerators, how many and how joined: from "16x8xH100", "A100-80GB:8", "4xp5.48xlarge" or a YAML file.

gpus = ([nodes "x"] count "x" device | device [":" memory] ":" count | [nodes "x"] instance | path.yaml) ["@" network]
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from planner.catalog.fabric import AT, refit
from planner.catalog.library import Library, Resolved, on_disk, quote, unknown
from planner.catalog.names import YAML
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.schema.hardware import Accelerator, Cluster, ClusterFile, Link, Node
from planner.units import format_bytes, format_rate
from planner.wording import schema_problem

T = TypeVar("T")

MOST = 10**7
GRAMMAR = (
    "8xA100           8 accelerators",
    "16x8xH100        16 nodes of 8",
    "A100-80GB:8      8 accelerators",
    "4xp5.48xlarge    4 nodes of that type",
    "cluster.yaml     a cluster written out",
    "8x8xA100@100GbE  with another network",
)

_LEADING = re.compile(r"([+-]?\d[^x×*:]*)[x×*]\s*(\S.*)", re.DOTALL | re.IGNORECASE)
_MEMORY = re.compile(r"\d+\s*g(i?b)?", re.IGNORECASE)


@frozen
class _Request:
    """What was asked for: `count` accelerators in all, or on each of `nodes`."""

    text: str
    device: str
    count: int
    nodes: int | None = None


def find_cluster(text: str, library: Library) -> Resolved[Cluster]:
    """The cluster that `text` describes.

    Raises:
        PlannerError: the text is not of the grammar, a count is impossible or a name unknown.
    """
    text = text.strip()
    if AT in text and not _is_path(text):
        plain, _, network = text.rpartition(AT)
        return _refitted(text, find_cluster(plain, library), network, library)
    if _is_path(text):
        return _from_file(Path(text), library)
    found = _instance(text, library) or _device(text, library)
    if found is None:
        raise _no_count(text, library)
    return found


def _refitted(text: str, found: Resolved[Cluster], network: str, library: Library) -> Resolved[Cluster]:
    """The cluster with another network; alone, a node has no use for one."""
    cluster, name = found.value, "".join(network.split())
    link = refit(network, cluster.node, library)
    changed = cluster.model_copy(update={"network": link.value, "fabric": name})
    alone = cluster.nodes == 1 or cluster.gpus <= cluster.domain
    idle = (f"{quote(text)}: all in one node or NVLink domain, so that {name} changes nothing",) if alone else ()
    return Resolved(changed, (*found.assumptions, *link.assumptions, *idle))


def _no_count(text: str, library: Library) -> PlannerError:
    meant = _turned(text, library)
    if meant is not None:
        said = f"{quote(text)}: the number of accelerators stands before an x"
        return PlannerError(said, (f"did you mean: {meant} ?", *GRAMMAR))
    if text and library.lookup("accelerator", text) is None:
        return unknown(library, ("accelerator", "node"), text)
    own = f"8x{text}"[:60] if text.isprintable() and text else "8xA100"
    return PlannerError(f"{quote(text)} says no number of accelerators", (f"{own:<16} 8 accelerators", *GRAMMAR[1:]))


def _turned(text: str, library: Library) -> str | None:
    """What "H100x8" and "8H100" may mean: 8xH100, where the rest is an accelerator."""
    for pattern in (r"(?P<name>\S.*?)\s*[x×*]\s*(?P<count>[0-9]{1,8})", r"(?P<count>[0-9]{1,8})\s*(?P<name>[a-z].*)"):
        match = re.fullmatch(pattern, text[:200], re.IGNORECASE)
        if match and int(match["count"]) and library.lookup("accelerator", match["name"]):
            return f"{int(match['count'])}x{match['name']}"
    return None


def _is_path(text: str) -> bool:
    return text.lower().endswith(YAML) or (os.sep in text and on_disk(Path.exists, Path(text)))


def _instance(text: str, library: Library) -> Resolved[Cluster] | None:
    """Readings in which everything behind the number of nodes is the name of a node."""
    node = library.lookup("node", text)
    if node is not None:
        return _whole_nodes(text, 1, node, library)
    match = _LEADING.fullmatch(text)
    return _several(text, match[1], match[2], library) if match else None


def _several(text: str, count: str, name: str, library: Library) -> Resolved[Cluster] | None:
    """`count` nodes called `name`. A full name of an accelerator goes before a node's default name."""
    node = library.lookup("node", name)
    if node is None:
        return None
    accelerator, nodes = library.lookup("accelerator", name), _count(count, text)
    if accelerator and node.assumptions:
        return None
    said = f"{quote(name)} is a node and an accelerator: {nodes} nodes; write {name}:{nodes} for {nodes} accelerators"
    notes = (*node.assumptions, said) if accelerator else node.assumptions
    return _whole_nodes(text, nodes, Resolved(node.value, notes), library)


def _device(text: str, library: Library) -> Resolved[Cluster] | None:
    """Readings that count accelerators."""
    request = _counted(text)
    if request is None:
        return None
    notes: list[str] = []
    accelerator, plain = _machine(request.device, library, notes)
    node, nodes, used = _place(request, plain, library, notes)
    found = _cluster(text, accelerator, node, (nodes, used), library, notes)
    return Resolved(found.value, (*found.assumptions, *_rack(request, found.value)))


def _rack(request: _Request, cluster: Cluster) -> tuple[str, ...]:
    """That a rack's name is its accelerator's here, where fewer are asked for than a rack has."""
    size = re.search(r"nvl(\d{1,4})$", request.device, re.IGNORECASE)
    if size is None or int(size[1]) != cluster.domain or cluster.gpus >= cluster.domain:
        return ()
    rack = f"{size[1]}x{request.device}"
    return (f"{quote(request.text)}: {cluster.gpus} of the {size[1]} accelerators of a rack; all of it is {rack}",)


def _machine(device: str, library: Library, notes: list[str]) -> tuple[Accelerator, Node]:
    """The accelerator called `device` and its plain node; or the node of that name and what is in it."""
    found = _accelerator(device, library)
    if found is not None:
        accelerator = _note(found, notes)
        return accelerator, _note(library.node(accelerator.node), notes)
    by_node = library.lookup("node", device)
    if by_node is None:
        raise unknown(library, ("accelerator", "node"), device.replace(":", "-"))
    node: Node = _note(by_node, notes)
    return _note(library.accelerator(node.accelerator), notes), node


def _counted(text: str) -> _Request | None:
    first = _LEADING.fullmatch(text)
    if first is None:
        device, colon, count = text.rpartition(":")
        return _Request(text, device, _count(count, text)) if colon and device else None
    second = _LEADING.fullmatch(first[2])
    if second is None:
        return _Request(text, first[2], _count(first[1], text))
    return _Request(text, second[2], _count(second[1], text), nodes=_count(first[1], text))


def _count(digits: str, text: str) -> int:
    """A positive whole number, written plainly."""
    plain = digits.strip()
    significant = plain.lstrip("0")
    if not re.fullmatch(r"[0-9]+", plain) or not significant:
        raise PlannerError(f"{quote(text)}: {quote(plain)} is not a positive whole number", GRAMMAR)
    if len(significant) > len(str(MOST)) or int(significant) > MOST:
        raise PlannerError(f"{quote(text)}: at most {MOST:,} accelerators", GRAMMAR)
    return int(significant)


def _accelerator(name: str, library: Library) -> Resolved[Accelerator] | None:
    """The accelerator called `name` or "device:memory", a memory that the plain device already has being no change."""
    device, colon, memory = name.partition(":")
    found = library.lookup("accelerator", f"{device}-{memory}" if colon else name)
    if found is None and colon and _MEMORY.fullmatch(memory.strip()):
        return _with_memory(library.lookup("accelerator", device), memory)
    return found


def _with_memory(found: Resolved[Accelerator] | None, memory: str) -> Resolved[Accelerator] | None:
    size = re.findall(r"\d+", memory)[0]
    fits = found is not None and re.search(rf"(?<!\d){size}g", found.value.name.lower())
    return found if fits else None


def _place(request: _Request, node: Node, library: Library, notes: list[str]) -> tuple[Node, int, int]:
    """The node, how many of them, and accelerators used of each."""
    if request.nodes is None:
        return node, *_split(request, node, notes)
    if request.count <= node.count:
        return node, request.nodes, request.count
    return _larger(request, node, library, notes) or _trays(request, node, library, notes)


def _larger(request: _Request, node: Node, library: Library, notes: list[str]) -> tuple[Node, int, int] | None:
    """The one generic node that holds as many of these accelerators as were asked for."""
    names = _nodes_with(node.accelerator, request.count, library)
    plain = [found for name in names if (found := library.node(name).value).provider == "generic"]
    if len(plain) != 1:
        return None
    notes.append(f"{request.text}: nodes of {request.count} are {plain[0].name}; {node.name} has {node.count}")
    return plain[0], request.nodes or 1, request.count


def _trays(request: _Request, node: Node, library: Library, notes: list[str]) -> tuple[Node, int, int]:
    """Several nodes for each that was asked for, where one scale-up domain joins them (GB200 NVL72: trays of 4)."""
    link = _link(node.scaleup, library, notes)
    each, rest = divmod(request.count, node.count)
    if link is None or rest or request.count > (link.domain or node.count):
        raise _too_many(request, node, library)
    what = f"{request.count} are {each} nodes of {node.count} ({node.name}), which {link.name} joins"
    notes.append(f"{request.text}: {what} up to {link.domain}")
    return node, (request.nodes or 1) * each, node.count


def _split(request: _Request, node: Node, notes: list[str]) -> tuple[int, int]:
    """A bare count over plain nodes: part of one, or all of several."""
    count = request.count
    if count <= node.count:
        return 1, count
    full, rest = divmod(count, node.count)
    if rest:
        spellings = (f"{n}x{node.count}x{request.device}   {n * node.count} accelerators" for n in (full, full + 1))
        what = f"{count} accelerators do not fill nodes of {node.count} ({node.name})"
        raise PlannerError(f"{quote(request.text)}: {what}", spellings)
    notes.append(f"{request.text}: {full} nodes of {node.count} ({node.name})")
    return full, node.count


def _too_many(request: _Request, node: Node, library: Library) -> PlannerError:
    names = _nodes_with(node.accelerator, request.count, library)
    most = f"at most {request.nodes}x{node.count}x{request.device}"
    hint = f"nodes with {request.count}: {', '.join(names)}" if names else most
    what = f"a node has {node.count} of these ({node.name}), not {request.count}"
    return PlannerError(f"{quote(request.text)}: {what}", hint)


def _nodes_with(accelerator: str, count: int, library: Library) -> list[str]:
    found = []
    for name in library.names("node"):
        try:
            node = library.node(name).value
        except PlannerError:
            continue
        if (node.accelerator, node.count) == (accelerator, count):
            found.append(name)
    return found


def _whole_nodes(text: str, nodes: int, found: Resolved[Node], library: Library) -> Resolved[Cluster]:
    notes: list[str] = []
    node = _note(found, notes)
    accelerator = _note(library.accelerator(node.accelerator), notes)
    return _cluster(text, accelerator, node, (nodes, node.count), library, notes)


def _from_file(path: Path, library: Library) -> Resolved[Cluster]:
    """The cluster of a YAML file, names in it resolved by the library."""
    written = library.read(path, ClusterFile)
    notes: list[str] = []
    node = _note(library.node(written.node), notes) if isinstance(written.node, str) else written.node
    accelerator = written.accelerator or _note(library.accelerator(node.accelerator), notes)
    if accelerator.name != node.accelerator and written.accelerator:
        what = f"accelerator: {quote(accelerator.name)}, but the node has {quote(node.accelerator)}"
        raise PlannerError(f"{path}: {what}", "give both the same name")
    shape = written.nodes, written.gpus_per_node or node.count
    found = _cluster(str(path), accelerator, node, shape, library, notes)
    return found if written.network is None else _refitted(str(path), found, written.network, library)


def _cluster(
    text: str, accelerator: Accelerator, node: Node, shape: tuple[int, int], library: Library, notes: list[str]
) -> Resolved[Cluster]:
    """The record, its links resolved."""
    nodes, used = shape
    if nodes * used > MOST:
        raise PlannerError(f"{quote(text)}: at most {MOST:,} accelerators")
    scaleup, network = _link(node.scaleup, library, notes), _link(node.network, library, notes)
    if network is not None:
        network = network.model_copy(update={"rate": node.network_rate})
    try:
        cluster = Cluster(accelerator=accelerator, node=node, scaleup=scaleup, network=network, nodes=nodes, used=used)
    except ValidationError as error:
        raise PlannerError(f"{quote(text)}: {schema_problem(error.errors()[0])}") from None
    return Resolved(cluster, tuple(dict.fromkeys(notes)))


def _link(link: str | Link | None, library: Library, notes: list[str]) -> Link | None:
    return _note(library.link(link), notes) if isinstance(link, str) else link


def _note(found: Resolved[T], notes: list[str]) -> T:
    """The value; its assumptions go to `notes`."""
    notes.extend(found.assumptions)
    return found.value


def cluster_spec(cluster: Cluster) -> str:
    """How --gpus names this cluster: whole nodes by the node's name, parts of nodes by their accelerator.

    A cluster of a YAML file, or accelerators in another node than their plain one, come back only from that file.
    """
    network = f"{AT}{cluster.fabric}" if cluster.fabric else ""
    if cluster.used == cluster.node.count:
        return f"{cluster.nodes}x{cluster.node.name}{network}"
    return f"{cluster.nodes}x{cluster.used}x{cluster.accelerator.name}{network}"


def devices(cluster: Cluster) -> str:
    """ "64 × h100-sxm5-80gb (80.0 GiB)"."""
    return f"{cluster.gpus:,} × {cluster.accelerator.name} ({format_bytes(cluster.accelerator.memory)})"


def links(cluster: Cluster) -> list[str]:
    """The links in use, with their rate per accelerator and direction."""
    fast, slow = cluster.scaleup, cluster.network if cluster.nodes > 1 else None
    said = [f"{fast.name} {format_rate(fast.rate)}"] if fast else []
    return said + ([f"{slow.name} {format_rate(slow.rate)} per GPU"] if slow else [])
