"""Pages of answers as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from planner.questions.train import Recommendation
    from planner.training.space import Bounds

Html = Annotated[
    Path | None,
    typer.Option("--html", help="File for a page of the answer that needs no network", rich_help_panel="Output"),
]


def ranking(
    path: Path, answer: Recommendation, bounds: Bounds, assumptions: tuple[str, ...], quiet: bool = False
) -> None:
    """The page of a ranking, with its map, the first plan's formulas and its timeline."""
    from planner.report.jsonout import recommendation
    from planner.report.page_extras import extras

    written(path, recommendation(answer, assumptions), quiet, **extras(answer, bounds))


def written(path: Path, document: Mapping[str, Any], quiet: bool, **more: Any) -> None:
    """The page of any JSON answer, and a word of it.

    Raises:
        PlannerError: no page can be made of it, or nothing can be written there.
    """
    from planner.report.page import page

    saved("--html", path, page(document, **more), quiet)


def saved(option: str, path: Path, text: str, quiet: bool) -> None:
    """A file that an option names, and a word of it.

    Raises:
        PlannerError: nothing can be written there.
    """
    from planner.cli.outfile import save_for
    from planner.cli.screen import notes

    save_for(option, path, text)
    notes((f"wrote {path} ({len(text.encode()):,} bytes)",), quiet)
