"""Collectives on real topologies: which links a group crosses, and what that costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planner.cost import collectives
from planner.cost.collectives import Group
from planner.schema.hardware import Cluster, Link
from tests.jobs import cluster


def link(kind: str, rate: str, **more: Any) -> Link:
    """A lossless link without latency."""
    facts = {"name": "l", "source": "made up", "kind": kind, "rate": rate, "efficiency": 1.0, "trust": "assumed"}
    return Link.model_validate(facts | {"latency": "0 s", "hop_latency": "0 s"} | more)


def wired(on: str, scaleup: Link, network: Link | None = None) -> Cluster:
    """A cluster with other links."""
    return cluster(on).model_copy(update={"scaleup": scaleup, "network": network})


SWITCH, NICS = link("switch", "300 GB/s"), link("network", "25 GB/s")
DGX = wired("4x8xA100", SWITCH, NICS)


def test_ring_by_hand() -> None:
    """8 ranks, 80 GB at 200 GB/s: 7/8 pass each link on one trip of 2 ms, twice in an all-reduce; 1 ms a call."""
    ring = Group(size=8.0, rate=200e9, latency=1e-3, trip=2e-3, climb=2e-3, domains=1.0, inside_rate=200e9)
    assert collectives.all_gather(ring, 80e9) == pytest.approx(0.353)
    assert collectives.reduce_scatter(ring, 80e9) == pytest.approx(0.353)
    assert collectives.all_reduce(ring, 80e9) == pytest.approx(0.705)
    assert collectives.all_gather(ring, 80e9, calls=10.0) == pytest.approx(0.38)


def test_trip_round_a_ring() -> None:
    """Two nodes of four beside each other: 6 hops inside and one between; one node: 3 inside."""
    slow, fast = link("network", "25 GB/s", hop_latency="10 us"), link("switch", "300 GB/s", hop_latency="1 us")
    two = wired("2x4xA100", fast, slow)
    assert collectives.group(two, 8.0, 1.0).trip == pytest.approx(16e-6)
    assert collectives.group(two, 4.0, 1.0).trip == pytest.approx(3e-6)


def test_an_all_reduce_over_many_nodes_takes_the_tree() -> None:
    """64 nodes 100 us apart: up and down six levels, 1.2 ms, not 126 hops; a gather goes round, 63 hops."""
    far = wired("64x8xA100", SWITCH, link("network", "25 GB/s", hop_latency="100 us"))
    ring = collectives.group(far, 64.0, 8.0)
    assert collectives.all_reduce(ring, 0.0) - ring.latency == pytest.approx(1.2e-3)
    assert collectives.all_gather(ring, 0.0) - ring.latency == pytest.approx(6.3e-3)


@pytest.mark.parametrize("collective", [collectives.all_gather, collectives.all_reduce, collectives.reduce_scatter])
def test_a_group_of_one_costs_nothing(collective: Any) -> None:
    """No traffic, no latency; alone or as a row among others."""
    assert collective(collectives.group(cluster("4x8xA100"), 1.0, 1.0), 1e9) == 0
    sizes = np.array([1.0, 8.0, 1.0])
    assert (collective(collectives.group(cluster("4x8xA100"), sizes, 1.0), 1e9) == 0).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("size", "stride", "rate"),
    [
        (8, 1, 300e9),  # tensor parallel inside a node
        (2, 1, 300e9),  # a switch gives two ranks everything
        (4, 8, 25e9),  # data parallel beside tp = 8: one NIC each
        (32, 1, 200e9),  # a ring over whole nodes: eight NICs at once
        (16, 2, 100e9),  # beside tp = 2: four ranks per node, four NICs
        (4, 2, 300e9),  # strided, but still inside
        (2, 16, 25e9),
    ],
)
def test_rate_of_a_ring(size: int, stride: int, rate: float) -> None:
    """The slowest of what it crosses: NVLink inside, as many NICs as ranks per node outside."""
    assert collectives.group(DGX, float(size), float(stride)).rate == rate


def test_a_ring_over_nodes_is_never_faster_than_inside() -> None:
    """Eight NICs of 100 GB/s do not beat NVLink of 300."""
    fat = wired("4x8xA100", SWITCH, link("network", "100 GB/s"))
    assert collectives.group(fat, 32.0, 1.0).rate == 300e9


@pytest.mark.parametrize(("size", "rate"), [(2, 64e9), (4, 192e9), (8, 448e9)])
def test_mesh(size: int, rate: float) -> None:
    """MI300X: seven links of 64 GB/s, of which two ranks share one and eight have all (AMD CDNA 3 white paper)."""
    mesh = wired("4x8xMI300X", link("mesh", "448 GB/s", pair_rate="64 GB/s"), NICS)
    assert collectives.group(mesh, float(size), 1.0).rate == rate


@pytest.mark.parametrize(
    ("size", "stride", "rate"),
    [
        (4, 1, 20e9),  # on one socket
        (8, 1, 10e9),  # one ring over both
        (4, 2, 5e9),  # two rings share the link between them
        (2, 4, 2.5e9),  # four do
        (2, 8, 25e9),  # over the network: nothing inside
    ],
)
def test_two_sockets(size: int, stride: int, rate: float) -> None:
    """Four accelerators on each of two sockets, 20 GB/s on one and 10 between them."""
    box = wired("2x8xA100", link("pcie", "20 GB/s", socket=4, socket_rate="10 GB/s"), NICS)
    assert collectives.group(box, float(size), float(stride)).rate == rate


@pytest.mark.parametrize(("stride", "members", "rate"), [(1, 4, 20e9), (4, 2, 2.5e9), (1, 8, 10e9)])
def test_hop_between_sockets(stride: int, members: int, rate: float) -> None:
    """All ranks of a stage send at once."""
    box = wired("1x8xA100", link("pcie", "20 GB/s", socket=4, socket_rate="10 GB/s"))
    assert collectives.hop(box, 1e9, float(stride), float(members)) == pytest.approx(1e9 / rate)


def test_a_socket_has_a_rate() -> None:
    """One without the other says nothing."""
    with pytest.raises(ValueError, match="belong together"):
        link("pcie", "20 GB/s", socket=4)


def test_rack_of_72() -> None:
    """GB200 NVL72: 18 trays of 4 are one domain; 72 ranks stay inside, 144 leave it."""
    rack = cluster("36x4xGB200")
    assert rack.domain == 72
    assert collectives.members_per_domain(rack, 72.0, 1.0) == 72
    assert collectives.members_per_domain(rack, 144.0, 1.0) == 72
    assert rack.scaleup is not None and rack.network is not None
    inside, outside = (collectives.group(rack, size, 1.0) for size in (72.0, 144.0))
    assert inside.rate == rack.scaleup.rate * rack.scaleup.efficiency
    assert outside.trip > inside.trip


def test_half_a_node() -> None:
    """Two accelerators used of each node's eight: a ring of four crosses nodes with two NICs."""
    part = DGX.model_copy(update={"nodes": 2, "used": 2})
    assert collectives.members_per_domain(part, 4.0, 1.0) == 2
    assert collectives.group(part, 4.0, 1.0).rate == 50e9


@pytest.mark.parametrize(("stride", "members", "rate"), [(1, 8, 300e9), (4, 2, 300e9), (8, 2, 25e9), (4, 4, 25e9)])
def test_hop_between_pipeline_neighbours(stride: int, members: int, rate: float) -> None:
    """One accelerator's link inside a node; one NIC as soon as the pipeline leaves it."""
    assert collectives.hop(DGX, 1e9, float(stride), float(members)) == pytest.approx(1e9 / rate)


def test_more_bytes_take_longer_and_latency_counts() -> None:
    """On the packaged cluster, whose links have latency."""
    members = collectives.group(cluster("4x8xA100"), 32.0, 1.0)
    small, large = (collectives.all_reduce(members, size) for size in (1.0, 1e9))
    assert members.latency <= small < large
    inside = collectives.group(cluster("4x8xA100"), 8.0, 1.0)
    assert members.latency + members.trip > inside.latency + inside.trip > 0


def test_bytes_of_an_exchange_leave_through_their_own_port() -> None:
    """32 ranks on 4 nodes of 8: 24/32 of 320 MB leave at one port's 25 GB/s; inside a node the ring's rate does."""
    inside, across = (collectives.group(DGX, size, 1.0) for size in (8.0, 32.0))
    assert collectives.all_to_all(DGX, inside, 320e6) == pytest.approx(7 / 8 * 320e6 / 300e9)
    assert collectives.all_to_all(DGX, across, 320e6) == pytest.approx(24 / 32 * 320e6 / 25e9)
    assert collectives.ring_pass(DGX, across, 10e6) == pytest.approx(31 * 10e6 / 25e9)
    assert collectives.all_to_all(DGX, collectives.group(DGX, 1.0, 1.0), 320e6) == 0


@pytest.mark.parametrize(("members", "microseconds"), [(2, 5.2), (4, 6.0), (8, 7.6)])
def test_small_all_reduce_by_peers(members: int, microseconds: float) -> None:
    """A100 over NVLink: 4.4 us + 0.4 us per member, times what the engine loses; nothing for one."""
    found = cluster("8xA100")
    group = collectives.group(found, float(members), 1.0)
    assert 1e6 * collectives.small_all_reduce(found, group, 0.0, True, 1.0) == pytest.approx(microseconds)
    assert 1e6 * collectives.small_all_reduce(found, group, 0.0, True, 1.5) == pytest.approx(1.5 * microseconds)
    assert collectives.small_all_reduce(found, collectives.group(found, 1.0, 1.0), 1e6, True, 1.0) == 0.0


def test_small_all_reduce_across_nodes_is_nccl() -> None:
    """No kernel reads the memory of another node: the network's latency and the hops of the low-latency protocol."""
    found = cluster("2x8xA100")
    group = collectives.group(found, 16.0, 1.0)
    across = collectives.small_all_reduce(found, group, 0.0, True, 1.0)
    assert across == pytest.approx(float(group.latency) + 30 * 0.6e-6)
    assert across == collectives.small_all_reduce(found, group, 0.0, False, 1.0)
