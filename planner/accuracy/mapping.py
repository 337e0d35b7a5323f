"""What a row leaves unsaid and its source makes plain: the tables of names and facts beside this file, with reasons."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from planner.catalog.yamlfile import table
from planner.frozen import frozen


def published(layout: str) -> dict[str, Any]:
    """What is said of a layout in which a set of measurements was published."""
    found: dict[str, Any] = table("accuracy", "published_rows.yaml")[layout]
    return found


def renamed(layout: str, row: dict[str, str]) -> dict[str, str]:
    """Cells of the common format that a row of a layout has, by whatever name, and those that all its rows share."""
    told = published(layout)
    shared: dict[str, str] = told["cells"]
    return {ours: row.get(theirs, "") for ours, theirs in told["same"].items()} | shared


SAID = table("accuracy", "training_rows.yaml")

DOUBTFUL: dict[str, str] = SAID["doubtful"]
"""Rows that contradict their siblings, by id, with the reason."""

FALLBACK_PRESET = "megatron-core"
"""For frameworks that no line of the table names."""


@frozen
class Machine:
    """What a GPU name of the corpus means.

    Attributes:
        accelerators: profiles, the first that exists counts.
        changes: facts of the accelerator that differ, when only a later profile exists.
        scaleup: rate per GPU and direction where it differs from the profile's node, in byte/s.
    """

    accelerators: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)
    scaleup: float | None = None


MACHINES = {name: Machine(**facts) for name, facts in SAID["machines"].items()}


@frozen
class Facts:
    """What holds for every row of a source and stands in no column.

    Attributes:
        shape: fields of Model. routing: fields of its experts. row: cells that the row leaves empty or "unknown".
        labels: put on every case.
    """

    shape: dict[str, Any] = field(default_factory=dict)
    routing: dict[str, int] = field(default_factory=dict)
    row: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


SOURCES = {name: Facts(**facts) for name, facts in SAID["sources"].items()}
