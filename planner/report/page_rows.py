"""What the page of an answer says of one row: which keys of the JSON answer, under which head, in which unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from planner.frozen import frozen
from planner.units import format_bytes, format_seconds

Row = Mapping[str, Any]


@frozen
class Measure:
    """A number of a row: its key, or keys with a dot between them, its head, and how it reads."""

    key: str
    head: str
    say: Callable[[float], str]


@frozen
class Kind:
    """What rows of one verb have.

    Attributes:
        dimensions: keys that make a row what it is, with their heads.
        x, y: measures of the plot: the first is better when low, the second as `high` says.
        parts: key of the parts that make up `x`; whole: its name; band: key of its band; what: what a row is called.
        bar: what is drawn per row, `x` if nothing else is said; order: how rows are ordered, if they are ranked.
    """

    what: str
    dimensions: dict[str, str]
    measures: tuple[Measure, ...]
    x: Measure
    y: Measure
    high: bool
    parts: str
    whole: str
    band: str = "step_time_band"
    bar: Measure | None = None
    order: str = ""


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
    STEP, MEMORY, False, "step_time_parts_s", "step time", order="Best first. ",
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
    order="Best first. ",
)  # fmt: skip

SPEED = Measure("tokens_per_second", "tokens/s", count)
TIME = Measure("time_s", "time", format_seconds)
HOURS = Measure("gpu_hours", "GPU-hours", count)
COST = Measure("cost_usd", "cost", usd)
GPUS = Measure("gpus", "GPUs", count)

_WHERE = {"is": "is", "gpu": "GPU", "gpus": "GPUs", "nodes": "nodes", "global_batch": "batch"}

SIZES = Kind(
    "cluster", _WHERE, (TIME, COST, HOURS, STEP, SPEED, Measure("mfu", "MFU", percent)),
    TIME, COST, False, "", "time", "time_band",
)  # fmt: skip

CURVE = Kind(
    "size", _WHERE | TRAINING.dimensions, TRAINING.measures, GPUS, SPEED, True, "step_time_parts_s", "GPUs",
    bar=SPEED,
)  # fmt: skip

LOADS = Kind(
    "cluster", {"is": "is", "gpu": "GPU", **SERVING.dimensions},
    (
        SPEED, Measure("ttft_s", "first token", format_seconds), TPOT, Measure("usd_per_hour", "$/h", usd),
        Measure("usd_per_million_output_tokens", "$/M tokens out", usd), MEMORY,
    ),
    GPUS, TPOT, False, "mean_tpot_parts_s", "GPUs", "", bar=TPOT,
)  # fmt: skip

CELLS = replace(
    CURVE, what="cell", dimensions=TRAINING.dimensions, x=Measure("total_gpus", "GPUs", count),
    order="Most tokens per second first. ",
)  # fmt: skip

CHECK = replace(
    TRAINING,
    dimensions={"is": "is", **TRAINING.dimensions},
    order="As written first, then the best plan and changes to what is written. ",
)

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
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def differing(kind: Kind, rows: Sequence[Row]) -> tuple[dict[str, str], dict[str, str]]:
    """Dimensions for the columns, and those in which all rows agree with their value."""
    there = {key: head for key, head in kind.dimensions.items() if any(key in row for row in rows)}
    values = {key: {word(row.get(key)) for row in rows} for key in there}
    shown = {key: head for key, head in there.items() if key in ALWAYS or len(values[key]) > 1}
    same = {head: min(values[key]) for key, head in there.items() if key not in shown and values[key] != {"–"}}
    return shown, same


def name_of(kind: Kind, row: Row) -> str:
    """ "1: tp 4 pp 8 dp 2 b 1"; degrees of one are left out."""
    first = list(kind.dimensions)[:12]
    keys = [key for key in first if (key not in UNNAMED or kind.what == "cell") and _telling(key, row)]
    said = [("" if key in BARE else f"{kind.dimensions[key]} ") + word(row[key]) for key in keys]
    return f"{row['rank']}: {' '.join(said)}"


UNNAMED, BARE = ("is", "nodes", "global_batch", "micro_batches", "sequence_parallel"), ("cluster", "gpu")
"""Dimensions that no name of a row has, and those that stand in it without their head."""


def _telling(key: str, row: Row) -> bool:
    return row.get(key) not in (None, 1) or (key in ALWAYS and key in row)


def text(value: Any) -> str:
    """Escaped for HTML, quotes included."""
    return escape(str(value))


def scrolled(inner: str, label: str) -> str:
    """Wide content in a frame of its own, which the keyboard can scroll."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">{inner}</div>\n'
