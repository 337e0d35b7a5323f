"""The trace obeys the Trace Event format, and holds every task once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.report.panels import Clock, Panel
from planner.report.trace import trace
from tests.report.timelines import panel


def read(panels: list[Panel], slots: bool = True) -> dict[str, Any]:
    """The trace as Perfetto's reader gets it."""
    whole: dict[str, Any] = json.loads(trace(panels, Clock(slots)))
    return whole


def check(whole: dict[str, Any]) -> None:
    """What the format demands of every event, by phase."""
    assert whole["displayTimeUnit"] in ("ms", "ns") and isinstance(whole["traceEvents"], list)
    for event in whole["traceEvents"]:
        assert isinstance(event["name"], str) and type(event["pid"]) is int and type(event["tid"]) is int
        assert event["ph"] in "MXC" and isinstance(event["args"], dict)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "process_sort_index", "thread_name")
        else:
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())


def of(whole: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    """The events of one phase."""
    return [event for event in whole["traceEvents"] if event["ph"] == phase]


def test_structure_and_names() -> None:
    """A named process and thread per rank, in order; every task once."""
    whole = read([panel("1f1b", 4, 8)])
    check(whole)
    names = {e["pid"]: e["args"]["name"] for e in of(whole, "M") if e["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in of(whole, "M") if e["name"] == "thread_name"}
    assert names == {rank: f"1f1b, rank {rank}" for rank in range(4)}
    assert threads == {(rank, 0): f"rank {rank}" for rank in range(4)}
    assert {(e["pid"], e["tid"]) for e in of(whole, "X")} == set(threads)
    assert len({(e["pid"], e["name"]) for e in of(whole, "X")}) == 64
    assert whole["otherData"]["1f1b"]["bubble fraction"] == "27.3%"


def test_times_are_microseconds() -> None:
    """Seconds times 10^6; a slot is a millisecond."""
    timeline = panel("1f1b", 4, 8, times={"F": 0.031, "B": 0.0633})
    events = of(read([timeline], slots=False), "X")
    assert events[0]["dur"] == 31000 and max(e["ts"] + e["dur"] for e in events) == pytest.approx(11 * 94300)
    assert of(read([panel("1f1b", 4, 8)]), "X")[0]["dur"] == 1000


def test_arguments_say_what_a_task_is() -> None:
    """Micro-batches from 1, as in the name; chunks are told apart."""
    events = of(read([panel("interleaved", 4, 8, 2)]), "X")
    first = events[0]
    assert first["name"] == "F1 chunk 0" and first["cat"] == "forward"
    assert first["args"] == {"kind": "forward", "micro_batch": 1, "chunk": 0, "rank": 0}
    assert len({(e["pid"], e["name"]) for e in events}) == len(events) == 128


def test_counters_follow_what_is_held() -> None:
    """The counter of a rank peaks where the timeline does, and ends at nothing."""
    counters = of(read([panel("1f1b", 4, 8)]), "C")
    for rank in range(4):
        mine = [event["args"]["micro-batches"] for event in counters if event["pid"] == rank]
        assert max(mine) == 4 - rank and mine[-1] == 0


def test_several_schedules_in_one_trace() -> None:
    """No process is shared."""
    whole = read([panel("gpipe", 2, 3), panel("1f1b", 3, 3)])
    check(whole)
    names = [e["args"]["name"] for e in of(whole, "M") if e["name"] == "process_name"]
    assert names == ["gpipe, rank 0", "gpipe, rank 1", "1f1b, rank 0", "1f1b, rank 1", "1f1b, rank 2"]
    assert len({e["pid"] for e in whole["traceEvents"]}) == 5


@given(st.integers(1, 6), st.integers(1, 12), st.floats(1e-9, 10), st.floats(1e-9, 10))
@settings(max_examples=40, deadline=None)
def test_slices_of_a_thread_never_overlap(p: int, m: int, forward: float, backward: float) -> None:
    """Rounding to nanoseconds keeps neighbours apart: Perfetto would nest them otherwise."""
    whole = read([panel("1f1b", p, m, times={"F": forward, "B": backward})], slots=False)
    check(whole)
    ends = dict.fromkeys(range(p), 0.0)
    for event in of(whole, "X"):
        assert event["ts"] >= ends[event["pid"]] - 1e-6 * max(1.0, event["ts"] * 1e-9)
        ends[event["pid"]] = event["ts"] + event["dur"]
