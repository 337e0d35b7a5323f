"""A pipeline played operation by operation, in plain Python: the oracle of the closed forms.

Orders are those of Megatron-LM core/pipeline_parallel/schedules.py. Sends are asynchronous: they take `hop` and block
nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

Op = tuple[str, int, int]
"""("F" or "B", micro-batch, chunk)."""


def order(schedule: str, p: int, m: int, v: int, rank: int) -> list[Op]:
    """What one rank does, in order."""
    if schedule == "naive":
        return [(kind, i, 0) for i in range(m) for kind in "FB"]
    if schedule == "gpipe":
        return [("F", i, 0) for i in range(m)] + [("B", i, 0) for i in range(m)]
    forwards = [("F", i, c) for i, c in _groups(p, m, v)]
    backwards = [("B", i, v - 1 - c) for i, c in _groups(p, m, v)]
    warm = p - 1 - rank if v == 1 else 2 * (p - 1 - rank) + (v - 1) * p
    warm = min(warm, m * v)
    steady = [op for pair in zip(forwards[warm:], backwards, strict=False) for op in pair]
    return forwards[:warm] + steady + backwards[m * v - warm :]


def _groups(p: int, m: int, v: int) -> list[tuple[int, int]]:
    """Micro-batches in groups of p, each group through all chunks before the next."""
    return [(i, c) for g in range(0, m, p) for c in range(v) for i in range(g, min(g + p, m))]


def replay(
    schedule: str, forward: Sequence[float], backward: Sequence[float], m: int, v: int = 1, hop: float = 0.0
) -> tuple[float, list[float]]:
    """Time from the first start to the last end, and each rank's peak of micro-batches held.

    `forward[r]`, `backward[r]`: times of one micro-batch through all chunks of rank r.
    """
    p = len(forward)
    queues = [order(schedule, p, m, v, r) for r in range(p)]
    done: dict[tuple[str, int, int], float] = {}
    clock, position, held, peak = [0.0] * p, [0] * p, [0] * p, [0] * p
    while any(position[r] < len(queues[r]) for r in range(p)):
        moved = False
        for r in range(p):
            while position[r] < len(queues[r]):
                kind, i, chunk = queues[r][position[r]]
                stage, last = chunk * p + r, v * p - 1
                ready = _ready(done, kind, i, stage, last, hop if p > 1 else 0.0)
                if schedule == "naive" and kind == "F" and stage == 0 and i > 0:
                    ready = done.get(("B", i - 1, 0))
                if ready is None:
                    break
                clock[r] = max(clock[r], ready) + (forward if kind == "F" else backward)[r] / v
                done[kind, i, stage] = clock[r]
                held[r] += 1 if kind == "F" else -1
                peak[r] = max(peak[r], held[r])
                position[r] += 1
                moved = True
        assert moved, "the orders deadlock"
    return max(clock), [n / v for n in peak]


def _ready(
    done: dict[tuple[str, int, int], float], kind: str, i: int, stage: int, last: int, hop: float
) -> float | None:
    """When an operation's input is there; None while it is not."""
    if kind == "F":
        return 0.0 if stage == 0 else None if (at := done.get(("F", i, stage - 1))) is None else at + hop
    if stage == last:
        return done.get(("F", i, stage))
    return None if (at := done.get(("B", i, stage + 1))) is None else at + hop
