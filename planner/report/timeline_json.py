"""The numbers of timelines as versioned JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner import __version__
from planner.report.panels import Figure, Panel, numbers

if TYPE_CHECKING:
    from planner.documents import timelines as form


def timelines(figure: Figure) -> form.Timelines:
    """All panels; times are seconds, or slots when they were given without a unit, and the keys say which."""
    return {
        "schema": "planner.timeline/1",
        "planner_version": __version__,
        "inputs": figure.inputs,
        "timelines": [(_in_slots if figure.slots else _in_seconds)(panel) for panel in figure.panels],
    }


def _in_slots(panel: Panel) -> form.InSlots:
    n = numbers(panel.timeline)
    return {
        **_timeline(panel),
        "makespan_slots": n.makespan,
        "longest_stage_slots": n.longest_stage,
        "idle_per_rank_slots": list(n.idle),
    }


def _in_seconds(panel: Panel) -> form.InSeconds:
    n = numbers(panel.timeline)
    return {
        **_timeline(panel),
        "makespan_s": n.makespan,
        "longest_stage_s": n.longest_stage,
        "idle_per_rank_s": list(n.idle),
    }


def _timeline(panel: Panel) -> form.Timeline:
    timeline, n = panel.timeline, numbers(panel.timeline)
    return {
        "schedule": timeline.schedule,
        "title": panel.title,
        "pp": timeline.p,
        "v": timeline.v,
        "micro_batches": timeline.m,
        "operations": sum(map(len, timeline.tasks)),
        "bubble_fraction": n.bubble_fraction,
        "bubble_overhead": n.bubble_overhead,
        "peak_activations_per_rank_micro_batches": list(n.peaks),
        "peak_memory_per_rank_bytes": list(panel.peaks) if panel.memory else None,
        "usable_memory_bytes": panel.limit or None,
    }
