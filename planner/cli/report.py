"""planner report: the page of a saved answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.errors import PlannerError

USAGE = "planner recommend --model llama70b --gpus 64xA100 --json | planner report - --out answer.html"


def report(
    answer: Annotated[str, typer.Argument(metavar="FILE", help="What --json printed; - for stdin")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write (default: stdout)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr")] = False,
) -> None:
    """Draw a saved answer of recommend, serve, size, compare or check as one HTML page that needs no network.

    `planner recommend --html FILE` draws more: the map of degrees, the formulas and the timeline of the first plan.
    """
    from planner.cli.infile import read_text
    from planner.report.page import page

    found = document(answer, read_text(answer))
    try:
        text = page(found)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        raise PlannerError(f"{answer}: no whole answer of {found.get('schema')}", USAGE) from None
    if out is None:
        sys.stdout.write(text)
        return
    from planner.cli.outfile import save
    from planner.cli.screen import notes

    save(out, text)
    notes((f"wrote {out} ({len(text.encode()):,} bytes)",), quiet)


def document(name: str, text: str) -> dict[str, Any]:
    """The answer that a text holds.

    Raises:
        PlannerError: it holds none.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise PlannerError(f"{name}, line {line}: no JSON", USAGE) from None
    if not isinstance(found, dict) or not str(found.get("schema", "")).startswith("planner."):
        raise PlannerError(f'{name}: no answer of the planner: it has no "schema"', USAGE)
    return found
