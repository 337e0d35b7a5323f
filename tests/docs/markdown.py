"""Pages that are made by code: wrapped at 120 columns, written anew by PLANNER_REGENERATE=1."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import fill

DOCS = Path(__file__).parents[2] / "docs"


def paragraph(text: str) -> str:
    """Wrapped, with an empty line behind it."""
    return fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False) + "\n\n"


def item(text: str) -> str:
    """One of a list."""
    text = " ".join(text.split())
    return fill(f"- {text}", 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) + "\n"


def is_up_to_date(name: str, text: str) -> bool:
    """Whether the page under docs/ has this text; it has after PLANNER_REGENERATE=1."""
    path = DOCS / name
    if os.environ.get("PLANNER_REGENERATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8") == text
