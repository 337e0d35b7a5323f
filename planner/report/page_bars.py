"""Bars of an answer's page as tables: step time with its band, memory by part against the limit, parts of a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp

from planner.bands import tied
from planner.report.page_rows import Kind, Row, name_of, number, scrolled, text
from planner.report.page_style import COLOURS
from planner.report.words import PART_NAMES
from planner.units import format_bytes, format_seconds

MOST = 30
"""Rows that are drawn; the table has all."""


def times(kind: Kind, rows: Sequence[Row]) -> str:
    """Time of every row with its band, or what else is drawn; slower rows inside the first one's band are ties."""
    bar = kind.bar or kind.x
    shown = [(row, value) for row in rows[:MOST] if (value := number(row, bar.key)) is not None]
    if not shown:
        return ""
    widths = [0.0 if kind.bar else row.get(kind.band) or 0.0 for row, _ in shown]
    most = max(value * exp(width) for (_, value), width in zip(shown, widths, strict=True))
    first, lines = shown[0][1], []
    for (row, value), width in zip(shown, widths, strict=True):
        said = bar.say(value) + (f" ±{width:.0%}" if width else "")
        other = kind.order and row is not shown[0][0] and value >= first
        tie = "tie" if other and tied(first, value, widths[0] or None) else ""
        drawn = piece(0, value / most, COLOURS[0], "")
        drawn += _whisker(value * exp(-width) / most, value * exp(width) / most) if width else ""
        lines.append(row_of(name_of(kind, row), drawn, said, tie))
    head = kind.whole if bar is kind.x else bar.head
    return lines_table(lines, f"{head}{', band as a whisker' if any(widths) else ''}", (kind.what, head, "", ""))


def memory(kind: Kind, rows: Sequence[Row], capacity: float | None) -> str:
    """Memory of the fullest rank of every row by part, the limit as a line, the band as a whisker."""
    shown = [row for row in rows[:MOST] if "memory_bytes" in row]
    if not shown:
        return ""
    names = _parts(row["memory_bytes"] for row in shown)
    most = 1.02 * max(max(_reach(row), _limit(row, capacity)) for row in shown)
    lines = []
    for row in shown:
        parts, limit, band = row["memory_bytes"], _limit(row, capacity), row.get("memory_band")
        bar = _stack(parts, names, most)
        bar += f'<span class="limit" style="left:{limit / most:.3%}"></span>' if limit else ""
        bar += _whisker(band["low_bytes"] / most, band["high_bytes"] / most) if band else ""
        said = f"{format_bytes(parts['total'])}" + (f" of {format_bytes(limit)}" if limit else "")
        lines.append(row_of(name_of(kind, row), bar, said, str(row.get("verdict", ""))))
    head = (kind.what, "parts of its memory", "", "")
    return legend(names) + lines_table(lines, "Fullest rank at its fullest moment; the line is what can be used", head)


def _reach(row: Row) -> float:
    band = row.get("memory_band")
    return float(band["high_bytes"] if band else row["memory_bytes"]["total"])


def _limit(row: Row, capacity: float | None) -> float:
    return float(row.get("usable_memory_bytes") or capacity or 0.0)


def _parts(several: Iterable[Mapping[str, float]]) -> list[str]:
    """Names of the parts that are somewhere more than nothing, in the order of the answer."""
    found = list(several)
    names = dict.fromkeys(name for one in found for name in one if name != "total")
    return [name for name in names if any(one.get(name) for one in found)]


def waterfalls(kind: Kind, rows: Sequence[Row]) -> str:
    """Where the time of a row goes, part after part; one row at a time is chosen."""
    shown = [row for row in rows[:MOST] if row.get(kind.parts)]
    if not shown:
        return ""
    options = "".join(f'<option value="{row["rank"]}">{text(name_of(kind, row))}</option>' for row in shown)
    tool = f'<div class="tools"><label>{kind.what} <select id="pick">{options}</select></label></div>\n'
    return tool + "".join(f'<div data-parts="{row["rank"]}">{_waterfall(kind, row)}</div>\n' for row in shown)


def _waterfall(kind: Kind, row: Row) -> str:
    parts = {name: value for name, value in row[kind.parts].items() if value}
    whole, start, lines = sum(parts.values()), 0.0, []
    for name, value in parts.items():
        bar = piece(start / whole, value / whole, COLOURS[0], "")
        lines.append(
            row_of(PART_NAMES.get(name, name.replace("_", " ")), bar, format_seconds(value), f"{value / whole:.1%}")
        )
        start += value
    what = "time per token" if "tpot" in kind.parts else "step time"
    lines.append(row_of(what, piece(0, 1, COLOURS[6], ""), format_seconds(whole), "100%"))
    caption = f"{what.capitalize()} of {kind.what} {name_of(kind, row)}"
    return lines_table(lines, caption, ("part", "from when to when", "", "share"))


def legend(names: Sequence[str]) -> str:
    """What the colours mean."""
    items = "".join(f'<li><i style="background:{_colour(i)}"></i>{text(n)}</li>' for i, n in enumerate(names))
    return f'<ul class="key">{items}</ul>\n'


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _stack(parts: Mapping[str, float], names: Sequence[str], most: float) -> str:
    """Parts one behind the other, each with its words as a tooltip."""
    pieces, start = [], 0.0
    for i, name in enumerate(names):
        value = parts.get(name, 0.0)
        pieces.append(piece(start / most, value / most, _colour(i), f"{name} {format_bytes(value)}"))
        start += value
    return "".join(pieces)


def piece(start: float, width: float, colour: str, title: str) -> str:
    """A bar from one share of the track on, so many shares wide."""
    tip = f' title="{text(title)}"' if title else ""
    return f'<span style="left:{start:.3%};width:{width:.3%};background:{colour}"{tip}></span>' if width else ""


def _whisker(low: float, high: float) -> str:
    return f'<span class="whisker" style="left:{low:.3%};width:{high - low:.3%}"></span>'


def row_of(name: str, bar: str, said: str, note: str) -> str:
    """A line of bars: its name, what is drawn, the number, a remark."""
    return (
        f'<tr><th scope="row" class="l">{text(name)}</th><td class="bar"><div class="track">{bar}</div></td>'
        f"<td>{text(said)}</td><td>{text(note)}</td></tr>\n"
    )


def lines_table(lines: Sequence[str], caption: str, heads: Sequence[str]) -> str:
    """Such lines under their heads."""
    head = "".join(f'<th scope="col" class="l">{text(name)}</th>' if name else "<td></td>" for name in heads)
    inner = f'<table class="bars"><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>\n'
    return scrolled(inner + "".join(lines) + "</tbody></table>", caption)
