"""Charts of an answer's page that span the space: the map of degrees with its dead cells, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.report.page_rows import Kind, Row, name_of, number, scrolled, text
from planner.units import format_bytes, format_seconds

WIDE, HIGH, LEFT, LOW, EDGE = 760.0, 380.0, 96.0, 46.0, 18.0
"""Size of the plot, room for the words on its axes, room around."""


def heat(maps: Sequence[Mapping[str, Any]]) -> str:
    """One degree down, another across, of all pairs one at a time: the fastest plan, or why there is none."""
    if not maps:
        return ""
    names = [f"{one['down']} × {one['across']}" for one in maps]
    options = "".join(f"<option>{text(name)}</option>" for name in names)
    tool = f'<div class="tools"><label>degrees <select id="degrees">{options}</select></label></div>\n'
    drawn = "".join(f'<div data-map="{text(n)}">{_map(one, n)}</div>\n' for one, n in zip(maps, names, strict=True))
    hint = "Choose a cell for the whole of it."
    return tool + drawn + f'<output id="cell" aria-live="polite">{hint}</output>\n'


def _map(one: Mapping[str, Any], name: str) -> str:
    cells = {tuple(cell["at"]): cell for cell in one["cells"]}
    columns = sorted({across for _, across in cells})
    alive = [cell["step_time_s"] for cell in cells.values() if cell["step_time_s"]]
    least, most = (min(alive), max(alive)) if alive else (0.0, 0.0)
    head = "".join(f'<th scope="col">{one["across"]} {across:,}</th>' for across in columns)
    body = ""
    for down in sorted({down for down, _ in cells}):
        row = "".join(_cell(one, cells[down, across], least, most) for across in columns)
        body += f'<tr><th scope="row">{one["down"]} {down:,}</th>{row}</tr>\n'
    caption = "Fastest plan of every pair of degrees, the darker the faster; hatched: none, and why"
    inner = f'<table class="heat"><caption>{caption}</caption><thead><tr><td></td>{head}</tr></thead><tbody>\n'
    return scrolled(f"{inner}{body}</tbody></table>", f"map of {name}")


def _cell(one: Mapping[str, Any], cell: Row, least: float, most: float) -> str:
    down, across = cell["at"]
    whole = f"{one['down']} {down} {one['across']} {across}: {cell['why']}"
    if (seconds := cell["step_time_s"]) is not None:
        share = (most - seconds) / (most - least) if most > least else 1.0
        look, said = f'style="background:rgba(var(--heat),{0.08 + 0.42 * share:.2f})"', format_seconds(seconds)
    else:
        short = cell["short_by_bytes"]
        look, said = 'class="dead"', f"short by {format_bytes(short)}" if short else cell["why"].partition(" (")[0]
    return f'<td {look}><button type="button" data-say="{text(whole)}">{text(said)}</button></td>'


def front(kind: Kind, rows: Sequence[Row]) -> list[Row]:
    """Rows that no other beats in both measures, by the first."""
    kept: list[Row] = []
    sign = -1.0 if kind.high else 1.0
    for row in sorted(rows, key=lambda r: (_at(kind, r)[0], sign * _at(kind, r)[1])):
        if not kept or sign * _at(kind, row)[1] < sign * _at(kind, kept[-1])[1]:
            kept.append(row)
    return kept


def _at(kind: Kind, row: Row) -> tuple[float, float]:
    return number(row, kind.x.key) or 0.0, number(row, kind.y.key) or 0.0


def pareto(kind: Kind, rows: Sequence[Row], limit: float | None) -> str:
    """All rows in two measures, the front as a line; every point says what it is."""
    shown = [row for row in rows if number(row, kind.x.key) and number(row, kind.y.key)]
    if not shown:
        return ""
    best = front(kind, shown)
    xs, ys = zip(*(_at(kind, row) for row in shown), strict=True)
    scale = Scale(min(xs), max(xs), min(ys), max(*ys, limit or 0.0))
    dots = "".join(_dot(kind, row, scale, row in best) for row in shown)
    steps = "L".join(f"{scale.x(x):.1f} {scale.y(y):.1f}" for x, y in (_at(kind, row) for row in best))
    line = f'<path class="front" d="M{steps}"/>' if len(best) > 1 else ""
    if limit:
        y = scale.y(limit)
        line += f'<path class="out" d="M{LEFT} {y:.1f}H{WIDE - EDGE}"/>'
        line += f'<text x="{WIDE - EDGE}" y="{y - 5:.1f}" text-anchor="end">usable {kind.y.say(limit)}</text>'
    names = "; ".join(name_of(kind, row) for row in best)
    title = f"{kind.whole} and {kind.y.head} of every {kind.what}"
    drawing = (
        f'<svg class="plot" role="img" aria-label="{text(title)}" viewBox="0 0 {WIDE:g} {HIGH:g}">'
        f"{_axes(kind, scale)}{line}{dots}</svg>"
    )
    better = "higher" if kind.high else "lower"
    words = f"{kind.whole} across, {kind.y.head} up; left and {better} is better. On the front: {text(names)}."
    return scrolled(drawing, title) + f'<p class="faint">{words}</p>\n'


class Scale:
    """From measures to places in the plot; ends are spread so that single points have room."""

    def __init__(self, left: float, right: float, low: float, high: float) -> None:
        wide, tall = (right - left) or 0.1 * right, (high - low) or 0.1 * high
        self.left, self.right = left - 0.05 * wide, right + 0.05 * wide
        self.low, self.high = low - 0.05 * tall, high + 0.05 * tall

    def x(self, value: float) -> float:
        """Across."""
        return LEFT + (value - self.left) / (self.right - self.left) * (WIDE - LEFT - EDGE)

    def y(self, value: float) -> float:
        """From the top."""
        return HIGH - LOW - (value - self.low) / (self.high - self.low) * (HIGH - LOW - EDGE)


def _axes(kind: Kind, scale: Scale) -> str:
    found = ""
    for i in range(5):
        across = scale.left + (scale.right - scale.left) * i / 4
        up = scale.low + (scale.high - scale.low) * i / 4
        x, y = scale.x(across), scale.y(up)
        anchor = "end" if i == 4 else "middle"
        found += f'<path class="axis" d="M{x:.1f} {EDGE}V{HIGH - LOW}M{LEFT} {y:.1f}H{WIDE - EDGE}"/>'
        found += f'<text x="{x:.1f}" y="{HIGH - LOW + 17:.1f}" text-anchor="{anchor}">{text(kind.x.say(across))}</text>'
        found += f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{text(kind.y.say(up))}</text>'
    found += f'<text x="{LEFT}" y="{EDGE - 6}">{text(kind.y.head)}</text>'
    return found + f'<text x="{WIDE / 2}" y="{HIGH - 8}" text-anchor="middle">{text(kind.whole)}</text>'


def _dot(kind: Kind, row: Row, scale: Scale, best: bool) -> str:
    x, y = _at(kind, row)
    said = f"{name_of(kind, row)}: {kind.x.say(x)}, {kind.y.say(y)}"
    inner = f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="5"><title>{text(said)}</title></circle>'
    label = f'<text x="{scale.x(x) + 8:.1f}" y="{scale.y(y) + 4:.1f}">{row["rank"]}</text>'
    look = ' class="best"' if best else ""
    return f'<a href="#row-{row["rank"]}"{look}>{inner}{label}</a>'
