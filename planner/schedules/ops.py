"""What a rank does, in order: operations, the few ways in which schedules string them, and where chunks live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from planner.frozen import frozen


class Op(NamedTuple):
    """One operation of one rank.

    Attributes:
        kind: "F" forward, "B" full backward, "I" gradient of the input, "W" gradient of the weights.
        micro_batch: 0..m-1; chunk: model chunk on its rank, 0..v-1.
        paired: a forward that may run at the same time as the backward right behind it (DualPipe's F&B).
    """

    kind: str
    micro_batch: int
    chunk: int
    paired: bool = False


def one_by_one(forwards: Sequence[Op], backwards: Sequence[Op], warm: int) -> list[Op]:
    """`warm` forwards, then one forward and one backward in turn, then the backwards that remain."""
    warm = min(warm, len(forwards))
    turns = [op for pair in zip(forwards[warm:], backwards, strict=False) for op in pair]
    return [*forwards[:warm], *turns, *backwards[len(forwards) - warm :]]


def split_backwards(order: Iterable[Op], delay: int) -> list[Op]:
    """Every B becomes I, and its W follows `delay` backwards later; what is left of W comes last."""
    done: list[Op] = []
    waiting: list[Op] = []
    for op in order:
        if op.kind != "B":
            done.append(op)
            continue
        done.append(op._replace(kind="I"))
        waiting.append(op._replace(kind="W"))
        if len(waiting) > delay:
            done.append(waiting.pop(0))
    return done + waiting


def number(tokens: Iterable[str]) -> list[Op]:
    """Operations out of words like "F0", "I1", "B0", "W1", whose micro-batches count up per kind and chunk.

    "F0+" is paired with the word behind it; "W" without a chunk takes the oldest gradient that waits. B and I share
    one count.
    """
    count: dict[str, int] = {}
    waiting: list[Op] = []
    order: list[Op] = []
    for token in tokens:
        if token[0] == "W":
            oldest = next(n for n, op in enumerate(waiting) if token[1:] in ("", str(op.chunk)))
            order.append(waiting.pop(oldest))
            continue
        kind, key = token[0], token[:2].replace("I", "B")
        op = Op(kind, count.get(key, 0), int(token[1]), token.endswith("+"))
        count[key] = op.micro_batch + 1
        order.append(op)
        if kind == "I":
            waiting.append(op._replace(kind="W"))
    return order


@frozen
class Placement:
    """Which stage of the model each (rank, chunk) holds.

    Attributes:
        name: "loop", "V", "both ways" or "tokens".
        stage: (rank, chunk, p) -> stage that micro-batches of this chunk meet there.
        whole: every chunk is a full pass over its rank (a copy of the model, or one more token), not a part of it.
        copies: every chunk is a pipeline of its own with its own micro-batches.
    """

    name: str
    stage: Callable[[int, int, int], int]
    whole: bool = False
    copies: bool = False

    def stages(self, p: int, v: int) -> int:
        """Stages that a micro-batch visits: p*v, or p where chunks are copies."""
        return p if self.copies else p * v

    def next(self, p: int, v: int) -> dict[tuple[int, int], tuple[int, int]]:
        """(rank, chunk) -> (rank, chunk) that holds the stage behind it; nothing for the last stage."""
        where = {self._key(rank, chunk, p): (rank, chunk) for rank in range(p) for chunk in range(v)}
        return {
            (rank, chunk): where[route, stage + 1]
            for (route, stage), (rank, chunk) in where.items()
            if (route, stage + 1) in where
        }

    def _key(self, rank: int, chunk: int, p: int) -> tuple[int, int]:
        return (chunk if self.copies else 0), self.stage(rank, chunk, p)


LOOP = Placement("loop", lambda rank, chunk, p: chunk * p + rank)
"""Chunk c of rank i is stage c*p + i: Megatron's and PyTorch's looped placement; the one placement for v = 1."""

VEE = Placement("V", lambda rank, chunk, p: 2 * p - 1 - rank if chunk else rank)
"""Two chunks: down the ranks and up again, so that rank 0 holds the first stage and the last."""

BOTH_WAYS = Placement("both ways", lambda rank, chunk, p: p - 1 - rank if chunk else rank, whole=True, copies=True)
"""Two copies of the model in opposite directions; half of the micro-batches through each."""

TOKENS = Placement("tokens", lambda rank, chunk, p: chunk * p + rank, whole=True)
"""Decoding: "chunk" k is the k-th token, which starts on rank 0 when token k - 1 has left rank p-1."""
