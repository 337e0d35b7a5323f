"""How tokens reach their experts and come back: what each dispatcher sends over which link.

| dispatcher | sent by a rank, each way                                              |
|------------|-----------------------------------------------------------------------|
| alltoall   | a copy of each token for every expert that it visits                   |
| allgather  | every token to every rank, of which each takes its own                 |
| deepep     | a copy for every scale-up domain, then one for every rank inside it    |
| hybridep   | the same, permuted on the way                                          |

NVIDIA/Megatron-LM core/transformer/moe/token_dispatcher.py and fused_a2a.py; deepseek-ai/DeepEP. Routing is taken as
balanced: experts of a token lie anywhere, or anywhere in its groups of experts (DeepSeek-V3, arXiv:2412.19437, 2.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.cost import collectives
from planner.cost.collectives import Group
from planner.formula import formula, primitive
from planner.plan import Num
from planner.schema.hardware import Cluster

DISPATCHERS = ("alltoall", "allgather", "deepep", "hybridep")

Routing = tuple[int, int, int]
"""Experts that a token visits, groups that experts lie in, and how many of these a token's are in."""

ONE_COPY = ("deepep", "hybridep")
"""Dispatchers that send a token once to each domain, however many of its experts are there."""


@primitive
def raised(base: Num, times: int) -> Num:
    """base**times by multiplication, of which a number and an array give the same bits."""
    found: Num = 1.0
    for _ in range(int(times)):
        found = found * base
    return found


@formula("distinct groups")
def distinct(groups: Num, copies: int) -> Num:
    """Of n groups with equally many experts, how many the `copies` experts of a token lie in: n*(1 - (1 - 1/n)^k).

    Four nodes, top-8: 4*(1 - 0.75^8) = 3.6.
    """
    return groups * (1.0 - raised(1.0 - 1.0 / groups, copies))


def reach(members: Num, routing: Routing) -> Num:
    """How many of n members, of which each has experts of its own, a token's groups of experts lie on at most."""
    _, groups, among = routing
    return members if groups == 1 else np.minimum(members, among * np.maximum(members / groups, 1.0))


def dispatch(cluster: Cluster, members: Group, tokens: Num, routing: Routing, dispatcher: str) -> Num:
    """One way of `tokens` bytes that a rank has, each token to the experts that it is routed to.

    Raises:
        ValueError: no such dispatcher.
    """
    if dispatcher == "alltoall":
        return collectives.all_to_all(cluster, members, routing[0] * tokens)
    if dispatcher == "allgather":
        return collectives.all_gather(members, members.size * tokens)
    if dispatcher in ONE_COPY:
        return one_copy(cluster, members, tokens, routing, dispatcher)
    raise ValueError(f"no dispatcher {dispatcher!r}")


@formula("dispatch", "deepseek-ai/DeepEP README.md", "s")
def one_copy(cluster: Cluster, members: Group, tokens: Num, routing: Routing, dispatcher: str) -> Num:
    """One copy for each domain, one for each rank in it, both at once: max(far, near) + latency.

    DeepEP, 65,536 tokens of 7,168 in 16 bit to 8 of 256 experts on 8 H100: 5.25 ranks on average, 7/8 of them others,
    0.94e9 * 5.25 * 7/8 / 315e9 = 13.7 ms; measured 13.5 (NVIDIA aiconfigurator).
    """
    n, domains = members.size, members.domains
    inside = n / domains
    far = tokens * distinct(reach(domains, routing), routing[0]) * (domains - 1.0) / domains
    near = tokens * distinct(reach(n, routing), routing[0]) * (inside - 1.0) / inside
    inside_rate = collectives.exchange_rate(cluster, members, dispatcher == "deepep")
    time = np.maximum(near / inside_rate, far / collectives.own_port_rate(cluster, members))
    return np.where(n > 1.0, time + members.latency, 0.0)[()]


@formula("hidden expert traffic", "NVIDIA/Megatron-LM core/models/common/model_chunk_schedule_plan.py", "s")
def hidden(traffic: Num, before: Sequence[Num], behind: Sequence[Num]) -> Num:
    """What of a pass's dispatch and combine, both of `traffic` together, runs while another micro-batch computes.

    A layer's forward pass goes beside another's backward pass: combine backward beside what is before the experts
    forward, both dispatches beside the experts both ways, combine forward beside what is before them backward. before,
    behind: seconds forward and backward. Mean of both passes, dispatch and combine taken as equal.
    """
    half = 0.5 * traffic
    ends = np.minimum(half, before[0]) + np.minimum(half, before[1])
    return 0.5 * (ends + np.minimum(traffic, behind[0] + behind[1]))
