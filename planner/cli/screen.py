"""stdout and stderr: one console each, notes, and a progress bar for what takes longer than two seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200
"""Columns when stdout is no terminal: nothing may be cropped, and no table is wider than this."""

PATIENCE = 2.0
"""Seconds before a progress line appears."""


def console() -> Console:
    """The only console for answers: the terminal's width, or wide enough for everything when piped."""
    from rich.console import Console

    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdigit() and int(columns) > 0 else None if terminal else WIDE
    return Console(
        width=width if terminal else max(width or WIDE, WIDE),
        height=None if terminal else 100,
        force_terminal=terminal or None,
        highlight=False,
        soft_wrap=not terminal,
        markup=False,
        emoji=False,
    )


def notes(sentences: tuple[str, ...], quiet: bool) -> None:
    """Assumptions and warnings, on stderr."""
    if not quiet:
        for sentence in sentences:
            sys.stderr.write(f"note: {sentence}\n")


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A line on stderr that counts plans once a search has taken PATIENCE; silent when stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    started, shown = perf_counter(), [0.0]

    def tick(plans: int) -> None:
        now = perf_counter()
        if now - started > PATIENCE and now - shown[0] > 0.1:
            shown[0] = now
            sys.stderr.write(f"\r{plans:,} plans, {now - started:.0f} s")
            sys.stderr.flush()

    yield tick
    if shown[0]:
        sys.stderr.write("\r\x1b[K")
