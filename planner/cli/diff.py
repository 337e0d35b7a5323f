"""planner diff: two plans out of saved answers."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

from planner.errors import PlannerError

USAGE = "planner recommend --model llama70b --gpus 64xA100 --json > a.json; planner diff a.json:1 a.json:2"
_WHICH = "Saved --json answer, and which of its plans: a.json, a.json:2; - for stdin"


def diff(
    first: Annotated[str, typer.Argument(metavar="FILE[:N]", help=_WHICH)],
    second: Annotated[str, typer.Argument(metavar="FILE[:N]", help="The same of the other plan")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr (there are none)")] = False,
) -> None:
    """What differs between two training plans, and what it is in seconds and bytes, part by part.

    Answers of `recommend`, `explain` and `check` have plans; the first is taken unless :N says another.
    """
    del quiet
    from planner.report.diff import diff_lines, difference

    pair = (_read(first), _read(second))
    try:
        found = difference(*pair)
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError):
        raise PlannerError(f"{first}, {second}: no whole answers of the planner", USAGE) from None
    if as_json:
        from planner.report.jsonout import write

        sys.stdout.write(write(found))
    else:
        from planner.cli.screen import show, width

        show(diff_lines(found, width()))


def _read(text: str) -> tuple[dict[str, Any], int]:
    """The answer that a name with a number behind it leads to, and the number."""
    from planner.cli.infile import read_text
    from planner.cli.report import document

    match = re.fullmatch(r"(.+):([0-9]{1,4})", text)
    name, number = (match[1], int(match[2])) if match else (text, 1)
    return document(name, read_text(name)), number
