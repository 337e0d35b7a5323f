"""Which cluster sizes are tried: a ladder that no deadline and no budget changes, and the sizes between its rungs."""

from __future__ import annotations

from planner.schema.hardware import Cluster

BETWEEN = 7
"""Sizes that are tried at once between two others."""


def rungs(base: Cluster, whole: bool, most: int) -> tuple[int, ...]:
    """Accelerators per cluster, rising: 1, 2, 4 ... inside a node, then 1, 2, 3, 4, 6, 8, 12 ... whole nodes.

    Args:
        base: a cluster of this kind, of any size; whole: only whole nodes are to be had (an instance type).
        most: accelerators that may be used.
    """
    count = base.node.count
    inside = [] if whole else [2**i for i in range(count.bit_length()) if 2**i < count]
    nodes = [n * count for n in steps(most // count if joined(base) else 1)]
    return tuple(n for n in (*inside, *nodes) if n <= most)


def multiples(base: Cluster, whole: bool, most: int, pinned: int) -> tuple[int, ...]:
    """1, 2, 3, 4, 6, 8 ... times the product of pinned degrees, where a cluster may have that size."""
    count = base.node.count
    sizes = (n * pinned for n in steps(most // pinned))
    return tuple(n for n in sizes if (n % count == 0 and (n == count or joined(base))) or (n < count and not whole))


def joined(base: Cluster) -> bool:
    """Whether several nodes can work together."""
    return base.network is not None or base.domain > base.node.count


def steps(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16 ... up to `most`, which is the last."""
    doubled = [2**i for i in range(most.bit_length())]
    return sorted(n for n in {*doubled, *(3 * n // 2 for n in doubled if n > 1), most} if 0 < n <= most)


def between(base: Cluster, whole: bool, low: int, high: int) -> tuple[int, ...]:
    """At most BETWEEN sizes between two, both left out: any number inside a node, whole nodes beyond."""
    unit = step(base, whole, high)
    first, last = low // unit + 1, -(-high // unit) - 1
    stride = max(1, -(-(last - first + 1) // BETWEEN))
    return tuple(n * unit for n in range(first, last + 1, stride))


def step(base: Cluster, whole: bool, gpus: int) -> int:
    """By how much a size may differ from the next smaller one: one accelerator inside a node, one node beyond."""
    return 1 if gpus <= base.node.count and not whole else base.node.count


def sized(base: Cluster, gpus: int) -> Cluster:
    """A cluster of this kind with so many accelerators: part of one node, or whole nodes."""
    count = base.node.count
    nodes, used = (1, gpus) if gpus <= count else (gpus // count, count)
    return base.model_copy(update={"nodes": nodes, "used": used})
