"""planner report: the page of a saved answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.answers import saved
from planner.errors import PlannerError
from planner.wording import same_version

USAGE = "planner recommend --model llama70b --gpus 64xA100 --json | planner report - --out answer.html"


def report(
    answer: Annotated[str, typer.Argument(metavar="FILE", help="What --json printed; - for stdin")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write (default: stdout)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr")] = False,
) -> None:
    """Draw a saved answer of recommend, serve, size, compare, check, explain or sweep as one HTML page.

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
    saved("--out", out, text, quiet)


def document(name: str, text: str) -> dict[str, Any]:
    """The answer that a text holds.

    Raises:
        PlannerError: it holds none.
    """
    lines = text.splitlines()
    try:
        many = len(lines) > 1 and lines[0].startswith('{"schema": "planner.sweep/1"')
        found = swept([json.loads(line) for line in lines]) if many else json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise PlannerError(f"{name}, line {line}: no JSON", USAGE) from None
    if not isinstance(found, dict) or not str(found.get("schema", "")).startswith("planner."):
        raise PlannerError(f'{name}: no answer of the planner: it has no "schema"', USAGE)
    same_version(found)
    return found if found["schema"] != "planner.sweep/1" or "cells" in found else swept([found])


def swept(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The lines of a sweep as one answer."""
    from planner import __version__

    return {"schema": "planner.sweep/1", "planner_version": __version__, "cells": records}
