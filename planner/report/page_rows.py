"""What the page of an answer says of one row: which keys of the JSON answer, under which head, in which unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from planner.catalog.yamlfile import table
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
    whole: str
    parts: str = ""
    high: bool = False
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


SAID = table("report", "page_kinds.yaml")
_SAYS = {"bytes": format_bytes, "seconds": format_seconds, "percent": percent, "count": count, "usd": usd}
_MEASURES = {name: Measure(key, head, _SAYS[say]) for name, (key, head, say) in SAID["measures"].items()}


def _kind(row: Mapping[str, Any]) -> Kind:
    ones = {name: _MEASURES[row[name]] for name in ("x", "y", "bar") if name in row}
    return Kind(**{**row, **ones, "measures": tuple(_MEASURES[name] for name in row["measures"])})


KINDS = {name: _kind(row) for name, row in SAID["kinds"].items()}
"""By the schema of the answer, or what it is about."""

TRAINING, SERVING = KINDS["training"], KINDS["serving"]
STEP, MEMORY = _MEASURES["step"], _MEASURES["memory"]

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
