"""A timeline in the Trace Event format, which Perfetto (ui.perfetto.dev) and chrome://tracing open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from planner.report.panels import KINDS, Clock, Panel, facts
from planner.simulate import Task

SLOT = 1000.0
"""Microseconds that a slot without a unit is drawn as: the format knows nothing but microseconds."""


def trace(panels: Sequence[Panel], clock: Clock) -> str:
    """All panels in one trace: a process per rank with its tasks and a counter of the activations that it holds."""
    scale = SLOT if clock.slots else 1e6
    events: list[dict[str, Any]] = []
    for panel in panels:
        first = len({event["pid"] for event in events})
        events += [event for rank in range(panel.timeline.p) for event in _rank(panel, rank, first + rank, scale)]
    about: dict[str, Any] = {panel.title: dict(facts(panel, clock)) for panel in panels}
    if clock.slots:
        about["time unit"] = "1 slot is drawn as 1 ms"
    whole = {"displayTimeUnit": "ms", "otherData": about, "traceEvents": events}
    return json.dumps(whole, allow_nan=False, separators=(",", ":")) + "\n"


def _rank(panel: Panel, rank: int, pid: int, scale: float) -> Iterator[dict[str, Any]]:
    """Names, tasks and counter of one rank."""
    name = f"{panel.title}, rank {rank}"
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    yield {"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": {"sort_index": pid}}
    yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": 0, "args": {"name": f"rank {rank}"}}
    yield from (_task(task, panel.timeline.v, pid, scale) for task in panel.timeline.tasks[rank])
    yield from _counter("held activations", "micro-batches", panel.timeline.held[rank], pid, scale)
    if panel.memory:
        yield from _counter("memory", "bytes", panel.holds[rank], pid, scale)


def _counter(
    name: str, unit: str, levels: Sequence[tuple[float, float]], pid: int, scale: float
) -> Iterator[dict[str, Any]]:
    for time, held in levels:
        counter = {"ph": "C", "name": name, "pid": pid, "tid": 0, "ts": round(time * scale, 3)}
        yield counter | {"args": {unit: held}}


def _task(task: Task, v: int, pid: int, scale: float) -> dict[str, Any]:
    """A complete event; the end is rounded, not the length, so that neighbours never overlap."""
    start, end = round(task.start * scale, 3), round(task.end * scale, 3)
    return {
        "ph": "X",
        "name": f"{task.kind}{task.micro_batch + 1}" + (f" chunk {task.chunk}" if v > 1 else ""),
        "cat": KINDS[task.kind],
        "pid": pid,
        "tid": 0,
        "ts": start,
        "dur": round(end - start, 3),
        "args": {"kind": KINDS[task.kind], "micro_batch": task.micro_batch + 1, "chunk": task.chunk, "rank": task.rank},
    }
