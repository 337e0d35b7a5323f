"""Another network than the node's own: "100GbE", "4x200GbE", "NDR", "RoCE-200G", behind --network or @ in --gpus.

network = [ports "x"] (rate "GbE" | link [rate "G"] | rate "G" link); the ports are those of a node.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from planner.catalog.library import Library, Resolved, candidates, quote, unknown
from planner.errors import PlannerError, UnknownName
from planner.schema.hardware import Link, Node
from planner.units import format_rate

AT = "@"
NETWORKS = (
    "100GbE           Ethernet, one port per node",
    "8x100GbE         eight ports per node",
    "NDR, HDR, EDR    InfiniBand, one port per accelerator",
    "RoCE-200G        a link of `planner show links` at another rate",
)
TCP = "ethernet"
"""Profile of plain Ethernet, to which a rate without another name belongs."""

_PORTS = re.compile(r"(\d{1,4})\s*[x×*]\s*(\S.*)", re.DOTALL | re.IGNORECASE)
_RATE = re.compile(r"(\d{1,4}(?:\.\d)?)\s*g(?:b(?:it)?|ig)?(?:ps|/s)?(e(?:thernet)?\b)?", re.IGNORECASE)
_GBIT = 1e9 / 8


def on_network(gpus: str, network: str | None) -> str:
    """What --gpus and --network say, in one word: "16x8xA100@100GbE"."""
    return f"{gpus.partition(AT)[0]}{AT}{network}" if gpus and network is not None else gpus


def refit(text: str, node: Node, library: Library) -> Resolved[Link]:
    """The network that `text` describes, at the rate that it leaves each of the node's accelerators.

    Raises:
        UnknownName: no link is called that. PlannerError: it joins accelerators inside a node, or a port too many.
    """
    match = _PORTS.fullmatch(text.strip())
    found, rate = _link(match[2] if match else text.strip(), library)
    if found.kind != "network":
        raise PlannerError(f"--network {quote(text)}: {found.name} joins accelerators inside a node", NETWORKS)
    ports = int(match[1]) if match else node.count if found.port == "accelerator" else 1
    each = found.rate if rate is None else rate
    if not 1 <= ports <= 1024 or not 1.0 <= each / _GBIT <= 10_000.0:
        raise PlannerError(f"--network {quote(text)}: 1 to 1024 ports of 1 to 10,000 Gb/s per node", NETWORKS)
    share = ports * each / node.count
    changes = {"rate": share, "tested": found.tested and share >= found.rate / 2}
    others = [name for name in candidates(text, library.names("link")) if name != found.name]
    said = _note(text, found, each, ports, node, others)
    asked = f"; {node.count}x{text.strip()} is a port for each" if not match and 1 == ports < node.count else ""
    return Resolved(found.model_copy(update=changes), (said + asked,))


def _link(text: str, library: Library) -> tuple[Link, float | None]:
    """The link that is named, and the rate of its port if that is stated too."""
    found = library.lookup("link", text)
    if found is not None:
        return found.value, None
    rate = _RATE.search(text)
    rest = "" if rate is None else (text[: rate.start()] + text[rate.end() :]).strip(" -_:/")
    named = None if rate is None else library.lookup("link", rest or TCP)
    if rate is None or named is None or (rate[2] and rest):
        raise _unknown(library, text)
    return named.value, float(rate[1]) * _GBIT


def _unknown(library: Library, text: str) -> UnknownName:
    plain = unknown(library, ("link",), text)
    return UnknownName(f"no network is called {quote(text)}", [*plain.hint[:-1], *NETWORKS])


def _note(text: str, link: Link, rate: float, ports: int, node: Node, others: Sequence[str]) -> str:
    said = f"--network {text}: {link.name}, {ports} port{'' if ports == 1 else 's'} of {rate / _GBIT:g} Gb/s per node"
    if node.count > 1:
        said += f", {format_rate(ports * rate / node.count)} for each of its {node.count} accelerators"
    said += f" (also: {', '.join(others)})" if others else ""
    return said + ("" if link.trust == "measured" else "; what it reaches is assumed")
