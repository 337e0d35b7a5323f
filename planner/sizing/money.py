"""What a cluster costs per hour: the user's price per accelerator, or a provider's dated price per node."""

from __future__ import annotations

from collections.abc import Sequence

from planner.frozen import frozen
from planner.schema.hardware import Node


@frozen
class Bill:
    """What is paid.

    Attributes:
        usd_per_hour: of the whole cluster; instances: how many of `node` that is, 0 where accelerators are priced.
        node: whose price it is, None for the user's own.
    """

    usd_per_hour: float
    instances: int = 0
    node: Node | None = None


def bill(gpus: int, nodes: int, own: float | None, types: Sequence[Node]) -> Bill | None:
    """The cheapest way to have so many accelerators; None where nobody states a price.

    Args:
        nodes: that work together; own: the user's price per accelerator and hour; types: node profiles that hold them.
    """
    if own is not None:
        return Bill(own * gpus)
    bills = [Bill(t.price.usd_per_hour * n, n, t) for t, n in instances(gpus, nodes, types) if t.price is not None]
    return min(bills, key=lambda b: (b.usd_per_hour, b.instances), default=None)


def instances(gpus: int, nodes: int, types: Sequence[Node]) -> list[tuple[Node, int]]:
    """Instance types that can stand in for the cluster, each with how many of them: whole machines.

    One node's accelerators must come in one machine; several nodes need machines as large, and a network.
    """
    each = gpus // nodes
    return [
        (node, nodes if nodes > 1 else 1)
        for node in types
        if (node.count == each and node.network is not None if nodes > 1 else node.count >= each)
    ]
