"""Drawings of schedules in numbers."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from planner.documents.values import Amount, Positive, Whole


class Timeline(TypedDict):
    """Times in slots or in seconds.

    Attributes:
        peak_memory_per_rank_bytes: with --memory.
    """

    schedule: str
    title: str
    pp: Positive
    v: Positive
    micro_batches: Positive
    operations: Whole
    bubble_fraction: float
    bubble_overhead: float
    imbalance_fraction: float
    peak_activations_per_rank_micro_batches: list[float]
    peak_memory_per_rank_bytes: list[Amount] | None
    usable_memory_bytes: Amount | None


class InSlots(Timeline):
    """Times in slots."""

    makespan_slots: float
    longest_stage_slots: float
    idle_per_rank_slots: list[float]


class InSeconds(Timeline):
    """Times in seconds."""

    makespan_s: float
    longest_stage_s: float
    idle_per_rank_s: list[float]


class Timelines(TypedDict):
    """planner timeline --json."""

    schema: Literal["planner.timeline/1"]
    planner_version: str
    inputs: dict[str, Any]
    timelines: list[InSlots | InSeconds]
