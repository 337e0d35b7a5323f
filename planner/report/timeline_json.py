"""The numbers of timelines as versioned JSON."""

from __future__ import annotations

from typing import Any

from planner import __version__
from planner.report.panels import Figure, Panel, numbers


def timelines(figure: Figure) -> dict[str, Any]:
    """All panels; times are seconds, or slots when they were given without a unit, and the keys say which."""
    return {
        "schema": "planner.timeline/1",
        "planner_version": __version__,
        "inputs": figure.inputs,
        "timelines": [_timeline(panel, "slots" if figure.slots else "s") for panel in figure.panels],
    }


def _timeline(panel: Panel, unit: str) -> dict[str, Any]:
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
        f"makespan_{unit}": n.makespan,
        f"longest_stage_{unit}": n.longest_stage,
        f"idle_per_rank_{unit}": list(n.idle),
        "peak_activations_per_rank_micro_batches": list(n.peaks),
        "peak_memory_per_rank_bytes": panel.peaks if panel.memory else None,
        "usable_memory_bytes": panel.limit or None,
    }
