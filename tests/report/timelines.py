"""Small timelines for the tests of drawings: orders of operations written out here, put on a clock one by one."""

from __future__ import annotations

from planner.report.panels import Panel
from planner.simulate import Task, Timeline

Operation = tuple[str, int, int]
"""Kind, micro-batch, chunk."""


def gpipe(rank: int, p: int, m: int) -> list[Operation]:
    """All forwards, then all backwards, the last micro-batch first."""
    return [("F", i, 0) for i in range(m)] + [("B", i, 0) for i in reversed(range(m))]


def one_f_one_b(rank: int, p: int, m: int) -> list[Operation]:
    """p-1-rank forwards, then pairs, then the backwards that remain."""
    warm = min(m, p - 1 - rank)
    pairs = [op for i in range(m - warm) for op in (("F", warm + i, 0), ("B", i, 0))]
    return [("F", i, 0) for i in range(warm)] + pairs + [("B", i, 0) for i in range(m - warm, m)]


def split(rank: int, p: int, m: int) -> list[Operation]:
    """1F1B with the backward in two halves, the weight gradient `rank` micro-batches late (ZB-H1)."""
    order: list[Operation] = []
    done = late = 0
    for kind, i, chunk in one_f_one_b(rank, p, m):
        order.append(("I" if kind == "B" else "F", i, chunk))
        done += kind == "B"
        if kind == "B" and done > rank:
            order.append(("W", late, chunk))
            late += 1
    return order + [("W", i, 0) for i in range(late, m)]


def interleaved(rank: int, p: int, m: int, v: int) -> list[Operation]:
    """Groups of p micro-batches go through chunk 0, then chunk 1 ...; backwards from the last chunk."""
    visits = [(g + i, c) for g in range(0, m, p) for c in range(v) for i in range(p)]
    forward: list[Operation] = [("F", i, c) for i, c in visits]
    backward: list[Operation] = [("B", i, v - 1 - c) for i, c in visits]
    warm = min(len(visits), 2 * (p - 1 - rank) + (v - 1) * p)
    pairs = [op for pair in zip(forward[warm:], backward, strict=False) for op in pair]
    return forward[:warm] + pairs + backward[len(visits) - warm :]


def before(op: Operation, rank: int, p: int, v: int) -> tuple[str, int, int, int] | None:
    """The operation (kind, micro-batch, chunk, rank) whose end this one waits for."""
    kind, i, c = op
    stage, last = c * p + rank, v * p - 1
    if kind == "F":
        return ("F", i, (stage - 1) // p, (stage - 1) % p) if stage else None
    if kind == "W":
        return "I", i, c, rank
    return (kind, i, (stage + 1) // p, (stage + 1) % p) if stage < last else ("F", i, c, rank)


def replay(name: str, p: int, m: int, v: int = 1, times: dict[str, float] | None = None) -> Timeline:
    """The timeline of one of the schedules above; times per kind and whole rank, 1 unless given."""
    lengths = {"F": 1.0, "B": 1.0, "I": 1.0, "W": 1.0} | (times or {})
    orders = {"gpipe": gpipe, "1f1b": one_f_one_b, "zb-h1": split}
    rows = [interleaved(r, p, m, v) if v > 1 else orders[name](r, p, m) for r in range(p)]
    ends: dict[tuple[str, int, int, int], float] = {}
    done: list[list[Task]] = [[] for _ in range(p)]
    while any(len(done[r]) < len(rows[r]) for r in range(p)):
        for r in range(p):
            while len(done[r]) < len(rows[r]):
                op = rows[r][len(done[r])]
                need = before(op, r, p, v)
                if need is not None and need not in ends:
                    break
                start = max(done[r][-1].end if done[r] else 0.0, ends[need] if need else 0.0)
                task = Task(r, *op, start, start + lengths[op[0]] / v)
                ends[(*op, r)] = task.end
                done[r].append(task)
    return Timeline(name, p, m, v, tuple(map(tuple, done)), tuple(held(row, v) for row in done))


def held(row: list[Task], v: int) -> tuple[tuple[float, float], ...]:
    """A micro-batch's share is held from the start of its forward to the end of its backward (W, where split)."""
    last = "W" if any(task.kind == "W" for task in row) else "B"
    events = [(t.start, 1) for t in row if t.kind == "F"] + [(t.end, -1) for t in row if t.kind == last]
    total, steps = 0, []
    for time, change in sorted(events):
        total += change
        steps.append((time, total / v))
    return tuple(steps)


def panel(name: str, p: int, m: int, v: int = 1, times: dict[str, float] | None = None) -> Panel:
    """A panel with a plain heading."""
    return Panel(f"{name}:{v}" if v > 1 else name, f"{p} ranks × {m} micro-batches", replay(name, p, m, v, times))
