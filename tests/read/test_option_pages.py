"""docs/options has a page for every table of options, as the table is: PLANNER_REGENERATE=1 writes them anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from textwrap import fill

import pytest

from planner.read.table import Group, Table, table

PAGES = Path(__file__).parents[2] / "docs" / "options"
TABLES = sorted(path.name.removesuffix(".yaml") for path in (files("planner.read") / "tables").iterdir())

INTRODUCTION = """# Options of frameworks

What becomes of every option that a framework has, when `planner check` reads a script or a configuration:

- **modelled**: it moves the estimate, or the verdict;
- **without effect**: on memory and time, as far as they are computed here;
- **not modelled**: it changes memory, time or what is legal, and the numbers do not account for it. `check` names it
  with what it touches, marks the verdict, and lists it as `not_modelled` in JSON. At the values listed, the framework's
  own, it is not named.

An option in none of the lists is named as unknown. The pages are made of the tables in `planner/read/tables`, which
tests hold against the frameworks' own parsers.

"""

TITLES = {"modelled": "Modelled", "without_effect": "Without effect", "not_modelled": "Not modelled"}


def line(text: str, indent: str = "") -> str:
    """Wrapped at 120 columns."""
    return fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


def spelled(found: Table, option: str, values: tuple[str, ...]) -> str:
    """As users write it, with the values that are not named."""
    name = found.spelled.format(option)
    return f"`{name}`" + (f" ({' or '.join(values)})" if values else "")


def reason(group: Group) -> str:
    """What it goes to, or why it goes nowhere."""
    if group.kind == "modelled":
        other = f"; another value is not: {group.why} ({', '.join(group.touches)})" if group.touches else ""
        return f"**{group.to}**{other}"
    return f"**{', '.join(group.touches)}**: {group.why}" if group.touches else group.why


def items(found: Table, kind: str) -> Iterator[str]:
    for group in (one for one in found.groups if one.kind == kind):
        options = ", ".join(spelled(found, option, values) for option, values in sorted(group.options.items()))
        yield line(f"- {reason(group)}: {options}", "  ")


def page(found: Table, others: str) -> str:
    """One table."""
    text = f"# {found.framework}\n\n" + line(f"Version: {found.version}. Source: {found.source}.") + "\n"
    if others:
        names = ", ".join(f"[{table(one).framework}]({one}.md)" for one in others.split())
        text += line(f"Options of these are understood too, as there: {names}.") + "\n"
    sections = [(TITLES[kind], "".join(items(found, kind))) for kind in TITLES]
    return text + "\n".join(f"## {title}\n\n{rows}" for title, rows in sections if rows)


def written() -> dict[str, str]:
    """Every page by its file's name."""
    from planner.catalog.yamlfile import parse_yaml

    pages = {}
    rows = []
    for name in TABLES:
        text = (files("planner.read") / "tables" / f"{name}.yaml").read_text(encoding="utf-8")
        others = str(parse_yaml(text, name)[0].get("includes", ""))
        found = table(name)
        pages[f"{name}.md"] = page(found, others)
        counts = [sum(len(g.options) for g in found.groups if g.kind == kind) for kind in TITLES]
        rows.append(f"| [{found.framework}]({name}.md) | {counts[0]} | {counts[1]} | {counts[2]} |\n")
    table_text = "| | modelled | without effect | not modelled |\n|---|---:|---:|---:|\n" + "".join(rows)
    return pages | {"README.md": INTRODUCTION + table_text}


@pytest.mark.parametrize("name", ["README.md", *(f"{one}.md" for one in TABLES)])
def test_page_is_up_to_date(name: str) -> None:
    """Every option and every reason that the table has."""
    content = written()[name]
    if os.environ.get("PLANNER_REGENERATE"):
        PAGES.mkdir(exist_ok=True)
        (PAGES / name).write_text(content, encoding="utf-8")
    assert (PAGES / name).read_text(encoding="utf-8") == content


def test_no_page_without_a_table() -> None:
    """A table that is gone takes its page along."""
    assert {path.name for path in PAGES.glob("*.md")} == set(written())
