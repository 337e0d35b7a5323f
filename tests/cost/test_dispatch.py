"""How tokens reach experts: bytes by dispatcher, held against published kernels."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from planner.cost import collectives
from planner.cost.dispatch import dispatch, distinct, raised, reach
from tests.jobs import cluster

TOKEN = 7168 * 2.0
"""Bytes of a token of DeepSeek-V3 in 16 bit."""

V3 = (8, 8, 4)
"""Top-8 of experts in 8 groups, of which a token's are in 4."""


def test_distinct_groups_by_counting() -> None:
    """Three of four groups, all 64 choices with equal chance: 2.3125 of them are hit on average."""
    hit = [len(set(choice)) for choice in product(range(4), repeat=3)]
    assert distinct(4.0, 3) == pytest.approx(sum(hit) / len(hit), rel=1e-12)
    assert distinct(1.0, 8) == 1.0
    assert np.array_equal(raised(np.array([0.5, 0.25]), 3), np.array([raised(0.5, 3), raised(0.25, 3)]))


def test_deepep_inside_a_node() -> None:
    """65,536 tokens to 8 of 256 experts on 8 H100: combine takes 13.5 ms (NVIDIA aiconfigurator operator tables)."""
    on = cluster("8xH100")
    members = collectives.group(on, 8.0, 1.0)
    seconds = dispatch(on, members, 65536 * TOKEN, (8, 1, 1), "deepep")
    assert seconds == pytest.approx(13.53e-3, rel=0.05)


def test_deepep_beyond_eight() -> None:
    """Over 32 GB200 at 258 GB/s both ways together (400 out, 190 back), HybridEP at 495."""
    on = cluster("8x4xGB200")
    members = collectives.group(on, 32.0, 1.0)
    slow, quick = (dispatch(on, members, 4096 * TOKEN, V3, name) - members.latency for name in ("deepep", "hybridep"))
    assert slow / quick == pytest.approx(495 / 258, rel=0.01)


@pytest.mark.parametrize(("nodes", "published"), [(4, 57e9), (8, 50e9)])
def test_deepep_between_nodes(nodes: int, published: float) -> None:
    """4,096 tokens, 4 of 8 groups: DeepEP's combine over CX7 400G, whose rate counts the copy to the own node, too."""
    on = cluster(f"{nodes}x8xH100")
    members = collectives.group(on, 8.0 * nodes, 1.0)
    copies = distinct(reach(float(nodes), V3), 8)
    assert dispatch(on, members, 4096 * TOKEN, V3, "deepep") == pytest.approx(
        4096 * TOKEN * copies / published, rel=0.15
    )


def test_one_copy_for_each_node_is_less_than_eight() -> None:
    """32 ranks on 4 nodes: 3.6 copies of which 3/4 leave, instead of 8."""
    on = cluster("4x8xH100")
    members = replace(collectives.group(on, 32.0, 1.0), latency=0.0)
    tokens = 4096 * TOKEN
    plain, once = (dispatch(on, members, tokens, (8, 1, 1), name) for name in ("alltoall", "deepep"))
    assert once / plain == pytest.approx(distinct(4.0, 8) / 8)
    assert dispatch(on, members, tokens, (8, 1, 1), "allgather") > once
    assert dispatch(on, members, tokens, (8, 1, 1), "hybridep") == once


def test_a_group_of_one_sends_nothing() -> None:
    on = cluster("8xH100")
    alone = collectives.group(on, 1.0, 1.0)
    assert [dispatch(on, alone, 1e9, (8, 1, 1), name) for name in ("alltoall", "allgather", "deepep")] == [0.0] * 3


def test_groups_bound_the_reach() -> None:
    """DeepSeek-V3 sends a token to 4 nodes at most: of 8, 16 hold two each of a group's experts."""
    assert [float(reach(n, V3)) for n in (1.0, 2.0, 8.0, 16.0)] == [1.0, 2.0, 4.0, 8.0]
    assert reach(16.0, (8, 1, 1)) == 16.0


def test_an_unknown_dispatcher() -> None:
    on = cluster("8xH100")
    with pytest.raises(ValueError, match="no dispatcher 'pigeon'"):
        dispatch(on, collectives.group(on, 8.0, 1.0), 1.0, (1, 1, 1), "pigeon")
