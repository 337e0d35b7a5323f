"""Parts of an answer's page in which the reader asks: other degrees, other hardware, the plan on its accelerators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from planner.report.diff import SAME, apart_rows, part_rows, sentence
from planner.report.page_bars import lines_table, piece, row_of
from planner.report.page_rows import scrolled, text
from planner.report.page_style import COLOURS, shell
from planner.units import format_seconds


def why_box(data: Mapping[str, Any] | None) -> str:
    """Degrees to choose, and what became of the plans that have them."""
    if not data:
        return ""
    told = [n for n in data["degrees"] if n in ("tp", "cp", "pp") or _varied(data, data["degrees"].index(n))]
    fields = "".join(
        f'<label>{name} <input type="number" min="1" value="{data["first"].get(name, 1)}" data-degree="{name}"></label>'
        for name in told
    )
    inner = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        "<p>Choose degrees: the best plan that has them and what it costs, or what is in its way.</p>\n"
        f'<div class="tools" role="group" aria-label="degrees">{fields}</div>\n'
        '<output id="why" aria-live="polite"></output>\n'
        f'<script type="application/json" id="why-data">{inner}</script>\n'
    )


def _varied(data: Mapping[str, Any], place: int) -> bool:
    return any(key.split(",")[place] != "1" for key in data["says"])


def changes(rows: Sequence[Mapping[str, Any]]) -> str:
    """How speed moves with the network, the kernels and the batch, and whether another plan is fastest then."""
    if not rows:
        return ""
    most = max(abs(one["plan"]["change"]) for one in rows if one["plan"]) or 1.0
    lines = [_change(one, most) for one in rows]
    heads = ("change", "tokens/s of plan 1, slower left, faster right", "", "fastest then")
    return lines_table(lines, "One thing changed at a time; the batch keeps its micro-batches' size", heads)


def _change(one: Mapping[str, Any], most: float) -> str:
    plan, best = one["plan"], one["best"]
    if plan is None:
        return row_of(one["what"], "", "plan 1 does not run", best["says"] if best else "none")
    bar = _aside(plan["change"] / most, plan["change"] > 0)
    said = f"{plan['change']:+.1%}, {format_seconds(plan['step_time_s'])}"
    ahead = best["change"] - plan["change"] > 0.0005
    return row_of(one["what"], bar, said, f"{best['says']} ({best['change']:+.1%})" if ahead else "plan 1")


def apart(found: Mapping[str, Any]) -> str:
    """The page of two plans: what differs, and what it is in seconds and bytes."""
    cells = ["".join(f"<td>{text(one)}</td>" for one in row[1:]) for row in apart_rows(found)]
    names = [f'<th scope="row" class="l">{text(row[0])}</th>' for row in apart_rows(found)]
    lines = "".join(f"<tr>{name}{both}</tr>\n" for name, both in zip(names, cells, strict=True))
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("first", "second"))
    table = (
        f"<table><caption>What differs</caption><thead><tr><td></td>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )
    body = f"<header><h1>Two plans apart</h1><p>{text(sentence(found))}</p></header>\n"
    body += scrolled(table, "what differs") if lines else f"<p>{SAME}</p>\n"
    for head, parts in part_rows(found):
        most = max(abs(change) for _, change in parts) or 1.0
        drawn = [
            row_of(name, _aside(change / most, change <= 0.0), f"{a} → {b}", said)
            for (name, a, b, said), change in parts
        ]
        caption = f"{head.capitalize()}, part by part, the largest change first"
        body += lines_table(drawn, caption, (head, "less left, more right", "", "change"))
    return shell("Two plans apart", body)


def _aside(share: float, good: bool) -> str:
    """A bar to the left of the middle for less, to the right for more."""
    bar = piece(min(0.5, 0.5 + 0.5 * share), abs(0.5 * share), COLOURS[0 if good else 1], "")
    return bar + '<span class="limit" style="left:50%"></span>'


def placed(drawing: str) -> str:
    """The picture, with a choice of the groups that stand out."""
    if not drawing:
        return ""
    names = [name for name in ("tp", "cp", "ep", "pp", "dp") if f'class="s {name}"' in drawing]
    options = "".join(f"<option>{name}</option>" for name in names)
    choice = f'<label>groups <select id="axis"><option value="">all</option>{options}</select></label>'
    return f'<div class="tools">{choice if len(names) > 1 else ""}</div>\n{scrolled(drawing, text("placement"))}'
