"""Where the measured runs lie that come with the planner."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def measured(name: str) -> Path:
    """The folder inside the wheel (`planner/_measured`); in a checkout the one of benchmarks/."""
    inside = PACKAGE / f"_{name}"
    return inside if inside.is_dir() else PACKAGE.parent / "benchmarks" / name
