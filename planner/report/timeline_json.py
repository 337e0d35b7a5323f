"""The numbers of timelines as versioned JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

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
        "timelines": [_timeline(panel, "slots" if figure.slots else "s") for panel in figure.panels],
    }


def _timeline(panel: Panel, unit: str) -> form.InSlots | form.InSeconds:
    timeline, n = panel.timeline, numbers(panel.timeline)
    times = {"makespan": n.makespan, "longest_stage": n.longest_stage, "idle_per_rank": list(n.idle)}
    found = {
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
    return cast("form.InSlots | form.InSeconds", found | {f"{name}_{unit}": value for name, value in times.items()})
