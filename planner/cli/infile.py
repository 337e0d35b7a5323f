"""Files that a command reads."""

from __future__ import annotations

from pathlib import Path

from planner.catalog.textfile import MIB, decoded, read_bytes, read_stream
from planner.cli.streams import stdin

LARGEST = 4 * MIB
"""Bytes of a script, configuration or answer that are still read."""

_HINT = "a launch script has some kilobytes"


def read_text(name: str) -> str:
    """The text of a file, or of stdin for "-".

    Raises:
        PlannerError: it is missing, too large, or no text.
    """
    if name == "-":
        return decoded(read_stream(stdin(), "stdin", LARGEST, _HINT), "stdin")
    return decoded(read_bytes(Path(name), LARGEST, _HINT), name)
