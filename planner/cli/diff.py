"""planner diff: two plans out of saved answers."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import Annotated, Any

import typer

from planner.cli.answers import Html, answered
from planner.errors import PlannerError

USAGE = "planner recommend --model llama70b --gpus 64xA100 --json | planner diff - 2"
_WHICH = "Saved --json answer, and which of its plans: a.json, a.json:2; - for stdin"
_OTHER = "The other plan: of another file, or its number in the same one"


def diff(
    first: Annotated[str, typer.Argument(metavar="FILE[:N]", help=_WHICH)],
    second: Annotated[str, typer.Argument(metavar="FILE[:N]|N", help=_OTHER)],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout")] = False,
    html: Html = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr")] = False,
) -> None:
    """What differs between two training plans, and what it is in seconds and bytes, part by part.

    Answers of `recommend`, `explain` and `check` have plans; the first is taken unless :N says another.
    """
    from planner.report.diff import diff_lines, difference

    (name, number), read = _named(first), cache(_document)
    other = (name, int(second)) if re.fullmatch("[0-9]{1,4}", second) else _named(second)
    pair = (read(name), number), (read(other[0]), other[1])
    try:
        found = difference(*pair)
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError):
        raise PlannerError(f"{first}, {second}: no whole answers of the planner", USAGE) from None
    answered(lambda: found, partial(diff_lines, found), as_json, html, quiet)


def _named(text: str) -> tuple[str, int]:
    """A name and the number behind it: "a.json:2"."""
    match = re.fullmatch(r"(.+):([0-9]{1,4})", text)
    return (match[1], int(match[2])) if match else (text, 1)


def _document(name: str) -> dict[str, Any]:
    """The answer that a name leads to."""
    from planner.cli.infile import read_text
    from planner.cli.report import document

    return document(name, read_text(name))
