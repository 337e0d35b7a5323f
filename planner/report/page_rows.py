"""What the page of an answer says of one row: which keys of the JSON answer, under which head, in which unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from planner.units import format_bytes, format_seconds

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of a row: its key, or keys with a dot between them, its head, and how it reads."""

    key: str
    head: str
    say: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows of one verb have.

    Attributes:
        dimensions: keys that make a row what it is, with their heads.
        x, y: measures of the plot: the first is better when low, the second as `high` says.
        parts: key of the parts that make up `x`; what: what a row is called.
    """

    what: str
    dimensions: dict[str, str]
    measures: tuple[Measure, ...]
    x: Measure
    y: Measure
    high: bool
    parts: str
    whole: str


def percent(value: float) -> str:
    """Of a share."""
    return f"{value:.1%}"


def count(value: float) -> str:
    """With thousands."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def usd(value: float) -> str:
    """Of money."""
    return f"${value:,.2f}" if value < 1000 else f"${value:,.0f}"


STEP = Measure("step_time_s", "step", format_seconds)
MEMORY = Measure("memory_bytes.total", "memory", format_bytes)
TPOT = Measure("tpot_s", "time per token", format_seconds)

TRAINING = Kind(
    "plan",
    {
        "cluster": "cluster", "tp": "tp", "cp": "cp", "ep": "ep", "etp": "etp", "pp": "pp", "v": "v", "dp": "dp",
        "dp_replicate": "copies", "micro_batch": "b", "micro_batches": "m", "sequence_parallel": "sp", "zero": "ZeRO",
        "schedule": "schedule", "recompute": "recompute", "recompute_layers": "layers recomputed",
        "dispatcher": "dispatcher", "expert_overlap": "expert overlap", "relaxations": "relaxed",
    },
    (
        STEP, Measure("tokens_per_second", "tokens/s", count), Measure("mfu", "MFU", percent),
        Measure("bubble_fraction", "bubble", percent), MEMORY, Measure("usd_per_hour", "$/h", usd),
    ),
    STEP, MEMORY, False, "step_time_parts_s", "step time",
)  # fmt: skip

SERVING = Kind(
    "deployment",
    {"tp": "tp", "ep": "ep", "pp": "pp", "dp": "dp", "gpus": "GPUs"},
    (
        Measure("users", "users", count), Measure("ttft_s", "first token", format_seconds), TPOT,
        Measure("tokens_per_s_per_user", "tokens/s/user", count), Measure("requests_per_s", "requests/s", count),
        Measure("tokens_per_s_per_gpu", "tokens/s/GPU", count), MEMORY,
    ),
    TPOT, Measure("tokens_per_s_per_gpu", "tokens/s/GPU", count), True, "mean_tpot_parts_s", "time per token",
)  # fmt: skip

ALWAYS = ("tp", "pp", "dp")
"""Dimensions that are shown even where all rows agree."""


def number(row: Row, key: str) -> float | None:
    """The number under "a.b", or None."""
    value: Any = row
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def word(value: Any) -> str:
    """A dimension's value in a cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "–" if isinstance(value, list) else "–" if value is None else str(value)


def differing(kind: Kind, rows: Sequence[Row]) -> tuple[dict[str, str], dict[str, str]]:
    """Dimensions for the columns, and those in which all rows agree with their value."""
    there = {key: head for key, head in kind.dimensions.items() if any(key in row for row in rows)}
    values = {key: {word(row.get(key)) for row in rows} for key in there}
    shown = {key: head for key, head in there.items() if key in ALWAYS or len(values[key]) > 1}
    same = {head: min(values[key]) for key, head in there.items() if key not in shown}
    return shown, same


def name_of(kind: Kind, row: Row) -> str:
    """ "1: tp 4 pp 8 dp 2 b 1"; degrees of one are left out."""
    said = [f"{head} {word(row[key])}" for key, head in list(kind.dimensions.items())[:10] if _telling(key, row)]
    return f"{row['rank']}: {' '.join(said)}"


def _telling(key: str, row: Row) -> bool:
    return row.get(key) not in (None, 1) or (key in ALWAYS and key in row)


def text(value: Any) -> str:
    """Escaped for HTML, quotes included."""
    return escape(str(value))


def scrolled(inner: str, label: str) -> str:
    """Wide content in a frame of its own, which the keyboard can scroll."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">{inner}</div>\n'
