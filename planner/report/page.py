"""The page of an answer: one HTML file that needs nothing else, made of the JSON answer alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.report.page_answers import facts_of, rows_of, title_of
from planner.report.page_bars import MOST, memory, times, waterfalls
from planner.report.page_map import heat, pareto
from planner.report.page_plan import apart, changes, placed, why_box
from planner.report.page_rows import MEMORY, SAID, STEP, Kind, Row, differing, name_of, number, scrolled, text, word
from planner.report.page_style import asset, shell

Document = Mapping[str, Any]

MOST_ROWS = 200
"""Rows that a page has: more open slowly, and nobody reads them."""


def page(document: Document, **extras: Any) -> str:
    """The whole file; `extras` are what is drawn besides the answer (`planner.report.page_extras`).

    Raises:
        PlannerError: no answer that has a page.
    """
    if document.get("schema") == "planner.diff/1":
        return apart(document)
    kind, rows = rows_of(document)
    every, rows = rows, rows[:MOST_ROWS]
    extras = {"lines": document.get("lines", ())} | extras
    title = text(title_of(document))
    head = f'<header><h1>{title}</h1><p class="faint">{text(facts_of(document))}</p></header>\n'
    parts = [head, verdict(document, kind, rows, extras)]
    if rows:
        what = "Plan" if len(rows) == 1 else "Ranking" if kind.order else "Rows"
        parts += [
            section("ranking", what, ranking(kind, rows, len(every))),
            section("times", "How they compare", times(kind, rows)),
            section("memory", "Memory of the fullest rank", memory(kind, rows, document.get("usable_memory_bytes"))),
            section("parts", "Where the time goes", waterfalls(kind, rows)),
        ]
    parts.append(section("map", "Map of degrees", heat(extras.get("maps", ()))))
    if len(rows) > 1:
        limit = document.get("usable_memory_bytes") if kind.y is MEMORY else None
        parts.append(section("pareto", "Pareto front", pareto(kind, rows, limit)))
    parts += [
        section("whynot", "Why not other degrees?", why_box(extras.get("why"))),
        section("not", "What is not here", misses(document, kind)),
        section("changes", "What the answer rests on", changes(extras.get("changes", ()))),
        section("picture", "Which GPU holds what", placed(extras.get("picture", ""))),
        section("timeline", "", _timeline(extras)),
        section("formulas", "", formulas(kind, extras.get("lines") or ())),
        section("notes", "", notes(document)),
    ]
    return shell(title, "".join(parts), script=asset("page.js"))


def section(name: str, title: str, inner: str) -> str:
    """A part of the page under its heading; nothing where there is nothing in it."""
    head = f"<h2>{text(title)}</h2>\n" if title else ""
    return f'<section id="{name}">\n{head}{inner}</section>\n' if inner else ""


def fragment(document: Document) -> str:
    """The answer for a notebook's cell: no script, no style of its own."""
    kind, rows = rows_of(document)
    title = f"<p><b>{text(title_of(document))}</b> · {text(facts_of(document))}</p>\n"
    return title + verdict(document, kind, rows, {}) + table(kind, rows) + misses(document, kind) + notes(document)


def verdict(document: Document, kind: Kind, rows: Sequence[Row], extras: Mapping[str, Any]) -> str:
    """Whether it fits as asked, and the first row in its numbers."""
    fits = _fits(document)
    said = '<span class="good">Fits as asked.</span>' if fits else '<span class="bad">Does not fit as asked.</span>'
    lead = "Plan" if len(rows) == 1 else "First" if kind.order else "Answer"
    if rows and (kind.order or rows[0].get("is")):
        first = rows[0]
        numbers = [(m, number(first, m.key)) for m in kind.measures]
        told = [_told(m.head, m.say(value), m is STEP, extras) for m, value in numbers if value is not None]
        said += f" {lead}: {text(name_of(kind, first).partition(': ')[2])} · {' · '.join(told)}"
    smallest = document.get("smallest_cluster_gpus")
    said += f" It fits on {smallest:,} GPUs." if smallest else ""
    return f"<p>{said}</p>\n"


def _fits(document: Document) -> bool:
    """Whether the answer is that something does, as asked."""
    for key in ("fits_as_requested", "fits"):
        if key in document:
            return bool(document[key])
    if "cells" in document:
        return any(cell["status"] == "fits" for cell in document["cells"])
    return bool(document["plan"]["verdict"] != "does not fit")


def _told(head: str, value: str, step: bool, extras: Mapping[str, Any]) -> str:
    """A number of the first row; with its formula a click away where there is one."""
    names = [line["name"] for line in extras.get("lines") or ()]
    anchor = next((name for name in names if name == ANCHORS.get(head)), "")
    anchor = next((name for name in names if head == "memory" and name.startswith("peak")), anchor)
    said = f"{text(head)} {text(value)}"
    return f'<a href="#f-{text(anchor)}" data-open>{said}</a>' if anchor else said


ANCHORS: dict[str, str] = SAID["formulas"]
"""Formulas behind the numbers of the first row, by their heads."""


def ranking(kind: Kind, rows: Sequence[Row], several: int) -> str:
    """The rows as a table that sorts by every column and filters by every dimension that differs; of how many."""
    shown, same = differing(kind, rows)
    left = f'<p class="faint">The first {len(rows):,} of {several:,}; --json has all.</p>\n'
    agree = ", ".join(f"{head} {value}" for head, value in same.items())
    return (
        _filters(shown, rows)
        + scrolled(table(kind, rows, sorts=True), "ranking")
        + (f'<p class="faint">The same in all: {text(agree)}.</p>\n' if agree else "")
        + (left if several > len(rows) else "")
    )


def table(kind: Kind, rows: Sequence[Row], sorts: bool = False) -> str:
    """Every row with what makes it differ and its measures; `sorts`: heads are buttons."""
    shown, _ = differing(kind, rows)
    measures = [m for m in kind.measures if any(number(row, m.key) is not None for row in rows)]
    heads = ["#", *shown.values(), *(m.head for m in measures)]
    ways = [f' aria-sort="{"none" if i else "ascending"}"' if sorts else "" for i in range(len(heads))]
    said = [f'<button type="button">{text(h)}</button>' if sorts else text(h) for h in heads]
    head = "".join(f'<th scope="col"{way}>{one}</th>' for way, one in zip(ways, said, strict=True))
    body = "".join(_row(kind, row, list(shown), measures) for row in rows)
    caption = (kind.order if len(rows) > 1 else "") + ("Heads sort." if sorts else "")
    start = f'<table class="sortable"><caption>{caption}</caption>' if sorts else f"<table><caption>{caption}</caption>"
    return f"{start}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n"


def _row(kind: Kind, row: Row, keys: Sequence[str], measures: Sequence[Any]) -> str:
    cells = ""
    for key in keys:
        value = row.get(key)
        sorts = f' data-v="{value}"' if isinstance(value, int) and value >= 1000 else ""  # it says 16,384
        cells += f"<td{sorts}>{text(word(value))}</td>"
    for m in measures:
        value, band = number(row, m.key), row.get(kind.band) if m in (STEP, kind.x) else None
        said = "–" if value is None else m.say(value) + (f" ±{band:.0%}" if band else "")
        cells += f'<td data-v="{"" if value is None else value!r}">{text(said)}</td>'
    return f'<tr id="row-{row["rank"]}"><th scope="row">{row["rank"]}</th>{cells}</tr>\n'


def _filters(shown: Mapping[str, str], rows: Sequence[Row]) -> str:
    found = ""
    for place, (key, head) in enumerate(shown.items(), start=1):
        values = sorted({word(row.get(key)) for row in rows}, key=lambda v: (not v[:1].isdigit(), v.zfill(12)))
        if len(values) > 1:
            options = "".join(f"<option>{text(value)}</option>" for value in values)
            found += (
                f'<label>{text(head)} <select data-column="{place}"><option value="">any</option>{options}</select>'
                f"</label>"
            )
    said = f'<span id="count" role="status">{len(rows)} of {len(rows)} shown</span>'
    reset = '<button type="button" id="reset">all</button>'
    return f'<div class="tools" role="group" aria-label="filters">{found}{reset}{said}</div>\n' if found else ""


def misses(document: Document, kind: Kind) -> str:
    """The nearest misses, and what was not tried."""
    found = [str(one["says"]) for key in ("rejected", "does_not_fit") for one in document.get(key, ())]
    found += [f"rule {one['rule']}: {one['message']}" for one in document.get("problems", ())]
    found += [f"not modelled: {one['option']}: {one['why']}" for one in document.get("not_modelled", ())]
    found += [f"{c['model']} on {c['gpus']}: {c['reason']}" for c in document.get("cells", ()) if c["reason"]][:MOST]
    for row in document.get("nearest_misses", ()):
        name, short = name_of(kind, row).partition(": ")[2], MEMORY.say(row["short_by_bytes"])
        found.append(f"{name}: short by {short}, most of it {row['binding_constraint'].partition('.')[2]}")
    found += [f"not tried: {one['what']} ({one['option']})" for one in document.get("not_tried", ())]
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in dict.fromkeys(found))}</ul>\n" if found else ""


def _timeline(extras: Mapping[str, Any]) -> str:
    drawing = extras.get("timeline")
    if not drawing:
        return ""
    inner = drawing if drawing.startswith("<svg") else f"<p>{text(drawing)}</p>"
    return f"<details><summary>Timeline of the first plan</summary>\n{scrolled(inner, 'timeline')}</details>\n"


def formulas(kind: Kind, lines: Sequence[Mapping[str, Any]]) -> str:
    """Every number of the first row; a click shows its formula, the numbers in it and where it comes from."""
    found = ""
    for group in dict.fromkeys(line["group"] for line in lines):
        inner = "".join(_formula(line) for line in lines if line["group"] == group)
        found += f"<details><summary>{text(group)}</summary>\n{inner}</details>\n"
    return f'<h2>Formulas of the first {kind.what}</h2>\n<div class="formulas">{found}</div>\n' if found else ""


def _formula(line: Mapping[str, Any]) -> str:
    return (
        f'<details class="line" id="f-{text(line["name"])}"><summary>{text(line["symbol"])} <b>{text(line["text"])}</b>'
        f"</summary><div><code>= {text(line['formula'])}</code><br><code>{text(line['numbers'])}</code><br>"
        f'<span class="faint">{text(line["trust"])}: {text(line["source"])}</span></div></details>\n'
    )


def notes(document: Document) -> str:
    """What was assumed, and with which version."""
    several = [document, *document.get("clusters", ())]
    said = list(dict.fromkeys(note for one in several for note in one.get("assumptions", ())))
    reason = next((row["band_reason"] for row in document.get("plans", ()) if row.get("step_time_band")), "")
    said += [f"the band of the step time: {reason}"] if reason else []
    inner = "".join(f"<li>{text(note)}</li>" for note in said)
    version = f'<p class="faint">planner {text(document["planner_version"])}</p>'
    return (f"<details open><summary>Assumptions</summary><ul>{inner}</ul></details>" if said else "") + f"{version}\n"
