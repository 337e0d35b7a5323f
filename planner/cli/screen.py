"""stdout and stderr: answers as wide and as colourful as stdout is, notes, progress of what takes long."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from threading import Event, Thread
from time import perf_counter
from typing import TextIO

from planner.report.grid import fitted, plain

NARROWEST = 20
"""Columns below which a terminal is not taken at its word."""

PATIENCE = 2.0
"""Seconds before a progress line appears."""

_EXACT = re.compile("([34]8);2;([0-9]+);([0-9]+);([0-9]+)")


def width() -> int | None:
    """Columns of the terminal that answers go to; None when stdout is none, where lines may have any length."""
    return max(get_terminal_size().columns, NARROWEST) if sys.stdout.isatty() else None


def show(lines: Iterable[str], drawn: bool = False) -> None:
    """An answer, line by line; on a terminal no line is wider than it is, unless it was `drawn` for another one."""
    room, colours = None if drawn else width(), _colours()
    text = "".join(f"{piece}\n" for line in lines for piece in fitted(line, room))
    if colours < 1 << 24:
        text = _EXACT.sub(_nearest, text)
    sys.stdout.write(text if colours else plain(text))


def _colours() -> int:
    """How many colours stdout has: none when they are not wanted (no-color.org) or would not be understood."""
    say = os.environ.get
    forced = say("FORCE_COLOR", "0") not in ("", "0")
    if say("NO_COLOR") or not (forced or (sys.stdout.isatty() and say("TERM") != "dumb")):
        return 0
    return 1 << 24 if say("COLORTERM") in ("truecolor", "24bit") else 256


def _nearest(colour: re.Match[str]) -> str:
    """The nearest of the 256 colours: 6 shades of red, green and blue each, 0 and 95 to 255 in steps of 40."""
    red, green, blue = (max(0, round((int(c) - 55) / 40)) for c in colour.groups()[1:])
    return f"{colour[1]};5;{16 + 36 * red + 6 * green + blue}"


def notes(sentences: tuple[str, ...], quiet: bool) -> None:
    """Assumptions and warnings, on stderr."""
    if not quiet:
        for sentence in sentences:
            sys.stderr.write(f"note: {sentence}\n")


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A line on stderr once something has taken PATIENCE, with plans if they are counted; none where no terminal is."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    over, said = Event(), ["searching"]
    line = Thread(target=_told, args=(over, said, sys.stderr), daemon=True)
    line.start()
    try:
        yield lambda plans: said.__setitem__(0, f"{plans:,} plans")
    finally:
        over.set()
        line.join()


def _told(over: Event, said: list[str], stderr: TextIO) -> None:
    """Say what goes on and for how long, until it is over; then take the line away."""
    started = perf_counter()
    if over.wait(PATIENCE):
        return
    while not over.wait(0.1):
        stderr.write(f"\r{said[0]}, {perf_counter() - started:.0f} s")
        stderr.flush()
    stderr.write("\r\x1b[K")
