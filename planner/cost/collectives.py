"""What a collective costs on the real topology: latency plus bytes over the slowest link that the group crosses.

Ranks are laid out as Megatron does (tp innermost, then cp, dp, pp outermost), so a group is described by its size and
its stride: the product of the degrees inside it. Rates are bytes per second, per accelerator and direction.
"""

from __future__ import annotations

import numpy as np

from planner.formula import formula
from planner.frozen import frozen
from planner.plan import Num
from planner.schema.hardware import Cluster, Link

RINGS = "NCCL rings and trees: src/graph/tuning.cc"

LOW_LATENCY_HOP = 0.6e-6
"""Seconds per hop of NCCL's low-latency protocol over NVLink: src/graph/tuning.cc."""


@frozen
class Group:
    """Accelerators that take part in one collective.

    Attributes:
        size: how many; rate: sustained ring bandwidth of each.
        latency: fixed time of a call; trip: time of one way round the ring, hop by hop; climb: up a tree instead.
        domains: scale-up domains that it spans; inside_rate: of each accelerator inside one.
    """

    size: Num
    rate: Num
    latency: Num
    trip: Num
    climb: Num
    domains: Num
    inside_rate: Num


def members_per_domain(cluster: Cluster, size: Num, stride: Num) -> Num:
    """How many of a group of `size`, `stride` ranks apart, share one scale-up domain: at least 1, at most size."""
    near: Num = np.minimum(size, np.maximum(np.floor(_joined(cluster) / stride), 1.0))
    return near


def _joined(cluster: Cluster) -> float:
    """Accelerators of this job that one scale-up domain joins."""
    used = cluster.used if cluster.domain <= cluster.node.count else cluster.gpus
    return float(min(cluster.domain, used))


def scaleup_rate(link: Link, size: Num) -> Num:
    """Ring bandwidth inside a domain. A mesh gives a group of n only its n - 1 direct links; a switch all of it.

    MI300X: two accelerators share one 64 GB/s link, eight have seven of them.
    """
    if link.pair_rate is None:
        return link.rate * link.efficiency
    return np.minimum(link.pair_rate * np.maximum(size - 1.0, 1.0), link.rate) * link.efficiency


def between_sockets(link: Link, members: Num, stride: Num) -> Num:
    """What is left of the link between a host's sockets for one of the `stride` rings that cross it; else infinite.

    Two Xeons with four accelerators each, 10 GB/s between them: tp = 8 has 10 GB/s, each of two dp = 4 beside tp = 2 5.
    """
    if link.socket is None or link.socket_rate is None:
        return np.inf
    crosses = (members > 1.0) & (members * stride > link.socket)
    return np.where(crosses, link.socket_rate / np.minimum(stride, link.socket), np.inf)[()]


@formula(lambda cluster, size, stride: f"group of {size:g}, {stride:g} apart,")
def group(cluster: Cluster, size: Num, stride: Num) -> Group:
    """The group's ring: inside one domain at the scale-up rate, else at min(scale-up, k * network).

    k members per domain bring k network ports, so a ring over the whole cluster runs at k ports' rate, while a
    data-parallel ring beside tp = 8 has k = 1: a single port. A trip passes size - domains hops inside and domains - 1
    between them; NCCL counts 3.4 us for a large message's hop over NVLink, 14 us over a network (src/graph/tuning.cc).
    """
    k = members_per_domain(cluster, size, stride)
    fast, slow = cluster.scaleup, cluster.network
    inside_rate: Num = np.inf
    if fast is not None:
        inside_rate = np.minimum(scaleup_rate(fast, k), between_sockets(fast, k, stride))
    inside_hop = fast.hop_latency if fast is not None else 0.0
    base = fast.latency if fast is not None else 0.0
    if slow is None:
        trip = (size - 1.0) * inside_hop
        return Group(size, inside_rate, base, trip, trip, 1.0, inside_rate)
    domains = np.ceil(size / k)
    crosses = domains > 1.0
    outside_rate = slow.rate * slow.efficiency * k
    if slow.congestion is not None:
        outside_rate = outside_rate / (1.0 + (domains - 1.0) / slow.congestion)
    rate = np.where(crosses, np.where(k > 1.0, np.minimum(inside_rate, outside_rate), outside_rate), inside_rate)
    latency = np.where(crosses, slow.latency, base)
    trip = (size - domains) * inside_hop + (domains - 1.0) * slow.hop_latency
    climb = (size / domains - 1.0) * inside_hop + np.log2(domains) * slow.hop_latency
    return Group(size, rate[()], latency[()], trip, climb, domains, inside_rate)


@formula("all-gather", RINGS, "s")
def all_gather(members: Group, whole: Num, calls: Num = 1.0) -> Num:
    """Ring all-gather of `whole` bytes in `calls` pieces: (n-1)/n * bytes / rate + calls * (latency + trip).

    Nothing for a group of one. 80 GB of bf16 weights over 8 accelerators at 215 GB/s: 7/8 * 80e9 / 215e9 = 0.33 s.
    """
    n = members.size
    fixed = calls * (members.latency + members.trip)
    return np.where(n > 1.0, (n - 1.0) / n * whole / members.rate + fixed, 0.0)[()]


@formula("reduce-scatter", RINGS, "s")
def reduce_scatter(members: Group, whole: Num, calls: Num = 1.0) -> Num:
    """Ring reduce-scatter: the same traffic as an all-gather."""
    return all_gather(members, whole, calls)


@formula("all-reduce", RINGS, "s")
def all_reduce(members: Group, whole: Num) -> Num:
    """All-reduce by ring or tree: 2*(n-1)/n * bytes / rate + latency + 2 * min(trip, climb).

    Both move the same bytes; NCCL takes the tree where the hops between many nodes would cost more: it passes
    (n/nodes - 1) hops inside a node and log2(nodes) between them, up and down (src/graph/tuning.cc). Gathers and
    scatters have rings alone.
    """
    n = members.size
    fixed = members.latency + 2.0 * np.minimum(members.trip, members.climb)
    return np.where(n > 1.0, 2.0 * (n - 1.0) / n * whole / members.rate + fixed, 0.0)[()]


@formula("small all-reduce", RINGS, "s")
def small_all_reduce(cluster: Cluster, members: Group, whole: Num, peer: bool, factor: float) -> Num:
    """All-reduce inside a step of inference: factor * fixed + 2*(n-1)/n * bytes / rate.

    fixed = peer_latency + n * peer_hop where a kernel reads the peers' memory (one domain, a link that says so), else
    NCCL's call with its low-latency protocol: latency + 2*(n - 1) hops of 0.6 us (src/graph/tuning.cc, hwLat). Engines
    lose more than the kernel alone, by `factor`. A100, n = 8: 4.4 + 8*0.4 = 7.6 us.
    """
    n, fast = members.size, cluster.scaleup
    fixed = members.latency + 2.0 * (n - 1.0) * LOW_LATENCY_HOP
    if peer and fast is not None and fast.peer_latency is not None:
        fixed = np.where(members.domains > 1.0, fixed, fast.peer_latency + n * fast.peer_hop)
    return np.where(n > 1.0, factor * fixed + 2.0 * (n - 1.0) / n * whole / members.rate, 0.0)[()]


def own_port_rate(cluster: Cluster, members: Group) -> Num:
    """Rate at which one accelerator reaches the others by itself: its own network port once the group leaves a domain.

    A ring over k members per domain shares k ports; bytes that a rank sends to one peer leave through its own.
    """
    if cluster.network is None:
        return members.rate
    port = cluster.network.rate * cluster.network.efficiency
    rate: Num = np.where(members.domains > 1.0, np.minimum(members.rate, port), members.rate)
    return rate


def exchange_rate(cluster: Cluster, members: Group, deepep: bool = False) -> Num:
    """Rate inside a domain where every accelerator sends to every other one; that of rings where none was measured."""
    fast = cluster.scaleup
    if fast is None or fast.exchange is None:
        return members.inside_rate
    share = fast.deepep if deepep and fast.deepep is not None else fast.exchange
    return members.inside_rate * (share / fast.efficiency)


@formula("all-to-all", unit="s")
def all_to_all(cluster: Cluster, members: Group, sent: Num) -> Num:
    """Exchange of `sent` bytes per rank in equal parts: what leaves the domain goes through the rank's own port.

    max over inside and outside of share * bytes / rate, + latency: (n - k)/n leave a domain of k members. 64 ranks on
    8 nodes, 100 MB each at 42 GB/s: 7/8 * 100e6 / 42e9 = 2.1 ms.
    """
    n = members.size
    inside = n / members.domains
    near = (inside - 1.0) / n * sent / exchange_rate(cluster, members)
    far = (n - inside) / n * sent / own_port_rate(cluster, members)
    return np.where(n > 1.0, np.maximum(near, far) + members.latency, 0.0)[()]


@formula("ring pass", "Liu 2023, arXiv:2310.01889", "s")
def ring_pass(cluster: Cluster, members: Group, block: Num) -> Num:
    """n - 1 sends of one block around a ring, each through the rank's own port: (n-1) * block / rate + trip."""
    n = members.size
    time = (n - 1.0) * block / own_port_rate(cluster, members) + members.latency + members.trip
    return np.where(n > 1.0, time, 0.0)[()]


@formula("hop", unit="s")
def hop(cluster: Cluster, moved: Num, stride: Num, members: Num) -> Num:
    """One point-to-point send between pipeline neighbours `stride` ranks apart.

    Inside a domain when two stages share it; the slowest boundary counts, so any pipeline that leaves its domain
    pays the network.
    """
    inside = stride * members <= _joined(cluster)
    fast, slow = cluster.scaleup, cluster.network
    near: Num = np.float64(0.0)
    far: Num = np.float64(0.0)
    if fast is not None:
        pair = (fast.pair_rate or fast.rate) * fast.efficiency
        near = fast.latency / 2 + moved / np.minimum(pair, between_sockets(fast, members, stride))
    if slow is not None:
        stall = slow.stall if cluster.nodes >= slow.stall_nodes else 0.0
        far = stall + slow.latency / 2 + moved / (slow.rate * slow.efficiency)
    if fast is None or slow is None:
        return near + far
    found: Num = np.where(inside, near, far)[()]
    return found
