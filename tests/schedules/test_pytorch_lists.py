"""Orders of operations against the lists that torch.distributed.pipelining builds for itself (2.13).

torch is optional: without it these tests are skipped, unless PLANNER_REQUIRE_TORCH=1 (as in CI) makes that a failure.
A schedule object is built per configuration over a fake process group; nothing is executed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from planner.schedules import SCHEDULES, interleaved
from planner.schedules.ops import LOOP, VEE, Op, Placement

if os.environ.get("PLANNER_REQUIRE_TORCH") == "1":
    import torch
else:
    torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.filterwarnings("ignore::UserWarning")]

Step = tuple[str, int, int]
"""Kind, micro-batch, stage."""

KINDS = {"FORWARD": "F", "FULL_BACKWARD": "B", "BACKWARD_INPUT": "I", "BACKWARD_WEIGHT": "W"}


def theirs(name: str, p: int, m: int, v: int, placement: Placement) -> dict[int, list[Step]]:
    """PyTorch's list of every rank, without idle slots and gradient reductions; pairs laid out one after the other."""
    from torch.distributed.pipelining import PipelineStage
    from torch.distributed.pipelining.schedules import PipelineScheduleSingle, get_schedule_class
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", rank=0, world_size=p, store=FakeStore())
    try:
        mine = [placement.stage(0, chunk, p) for chunk in range(v)]
        held = [PipelineStage(torch.nn.Linear(1, 1), s, p * v, torch.device("cpu")) for s in mine]
        schedule = get_schedule_class(name)
        single = issubclass(schedule, PipelineScheduleSingle)
        built: Any = schedule(held[0] if single else held, n_microbatches=m, loss_fn=lambda x, y: x.sum())
        return {rank: list(flat(row)) for rank, row in built.pipeline_order.items()}
    finally:
        torch.distributed.destroy_process_group()


def flat(row: list[Any]) -> Iterator[Step]:
    """Actions as steps."""
    for action in row:
        for part in (action.sub_actions or (action,)) if action is not None else ():
            if part.computation_type.name in KINDS:
                yield KINDS[part.computation_type.name], part.microbatch_index, part.stage_index


def steps(order: list[Op], rank: int, p: int, placement: Placement) -> list[Step]:
    """Our operations in the same form."""
    return [(op.kind, op.micro_batch, placement.stage(rank, op.chunk, p)) for op in order]


def ours(name: str, p: int, m: int, v: int) -> dict[int, list[Step]]:
    """The catalogue's list of every rank."""
    schedule = SCHEDULES[name]
    return {rank: steps(schedule.ops(rank, p, m, v), rank, p, schedule.placement) for rank in range(p)}


@pytest.mark.parametrize("p", [2, 3, 4, 8])
@pytest.mark.parametrize(
    ("name", "pytorch", "chunks", "batches"),
    [
        ("gpipe", "GPipe", [1], [1, 2, 4, 8, 11]),
        ("breadth-first", "LoopedBFS", [1, 2, 3], [1, 4, 8, 10]),
        ("zb-v", "ZBVZeroBubble", [2], [1, 2, 4, 7, 8, 15, 20]),
        ("dualpipe-v", "DualPipeV", [2], [16, 17, 24, 40]),
        ("zb-h1", "InterleavedZeroBubble", [1], [2, 8, 24]),
    ],
)
def test_every_rank(name: str, pytorch: str, p: int, chunks: list[int], batches: list[int]) -> None:
    """Operation for operation."""
    for v in chunks:
        for m in batches:
            if name == "zb-h1" and m % max(1, m // p):
                continue
            assert ours(name, p, m, v) == theirs(pytorch, p, m, v, SCHEDULES[name].placement)


@pytest.mark.parametrize("p", [2, 3, 4, 8])
@pytest.mark.parametrize("v", [1, 2, 3, 4])
def test_interleaved(p: int, v: int) -> None:
    """In groups of m // max(1, m // p) micro-batches, p where p divides m."""
    for m in (2, 4, 8, 10, 16, 24):
        rounds = max(1, m // p)
        if m % rounds:
            continue
        orders = {r: interleaved.ops(r, p, m, v, m // rounds) for r in range(p)}
        expected = theirs("Interleaved1F1B", p, m, v, LOOP)
        assert {r: steps(order, r, p, LOOP) for r, order in orders.items()} == expected


@pytest.mark.parametrize("p", [2, 3, 4, 8])
@pytest.mark.parametrize("m", [8, 11, 16])
def test_1f1b_on_all_ranks_but_the_last(p: int, m: int) -> None:
    """The last rank's forwards are numbered from 1 in PyTorch's list (not in what it runs): off by one there."""
    expected, found = theirs("1F1B", p, m, 1, LOOP), ours("1f1b", p, m, 1)
    last, listed = found.pop(p - 1), expected.pop(p - 1)
    assert found == expected
    assert last != listed
    assert last == [(kind, i - (kind == "F"), stage) for kind, i, stage in listed]


def test_the_v_is_pytorchs() -> None:
    """Its mapping of stages to ranks."""
    from torch.distributed.pipelining._utils import generate_stage_to_rank_mapping

    assert generate_stage_to_rank_mapping(4, 8, style="v") == {
        VEE.stage(rank, chunk, 4): rank for rank in range(4) for chunk in (0, 1)
    }
