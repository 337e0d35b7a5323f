"""Answers as JSON, lines of a screen, and pages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from planner.questions.train import Ranked

Html = Annotated[
    Path | None,
    typer.Option("--html", help="File for a page of the answer that needs no network", rich_help_panel="Output"),
]


def answered(
    document: Callable[[], Mapping[str, Any]],
    lines: Callable[[int | None], Iterable[str]],
    as_json: bool,
    html: Path | None = None,
    quiet: bool = False,
    drawn: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """The page of an answer where one is asked for, with what is `drawn` on it beside; then its JSON, or its lines.

    Raises:
        PlannerError: no page can be made of it, or nothing can be written there.
    """
    if html is not None:
        written(html, document(), quiet, **drawn())
    if as_json:
        print_json(document())
    else:
        from planner.cli.screen import show, width

        show(lines(width()))


def plan_drawn(one: Ranked, number: int = 1) -> dict[str, Any]:
    """What the page of one plan has beside its JSON."""
    from planner.report.page_extras import of_plan

    return of_plan(one, number)


def print_json(document: Mapping[str, Any]) -> None:
    """An answer as JSON on stdout."""
    from planner.report.jsonout import write

    sys.stdout.write(write(document))


def written(path: Path, document: Mapping[str, Any], quiet: bool, **more: Any) -> None:
    """The page of any JSON answer, and a word of it.

    Raises:
        PlannerError: no page can be made of it, or nothing can be written there.
    """
    from planner.report.page import page

    saved("--html", path, page(document, **more), quiet)


def saved(option: str, path: Path, text: str, quiet: bool, kind: str = "") -> None:
    """A file that an option names, and a word of it.

    Raises:
        PlannerError: nothing can be written there.
    """
    from planner.cli.outfile import save
    from planner.cli.screen import notes

    save(path, text, option)
    notes((f"wrote {path} ({kind}{len(text.encode()):,} bytes)",), quiet)
