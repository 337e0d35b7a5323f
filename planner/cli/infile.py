"""Files that a command reads."""

from __future__ import annotations

from pathlib import Path

from planner.cli.streams import stdin
from planner.errors import PlannerError

LARGEST = 4 * 2**20
"""Bytes of a script, configuration or answer that is still read."""


def read_text(name: str) -> str:
    """The text of a file, or of stdin for "-".

    Raises:
        PlannerError: it is missing, too large, or no text.
    """
    if name == "-":
        data = stdin().read(LARGEST + 1)
        name = "stdin"
    else:
        path = Path(name)
        if path.is_dir():
            raise PlannerError(f"{name} is a directory", "name the file in it")
        if not path.exists():
            raise PlannerError(f"there is no file {name}")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise PlannerError(f"{name} is larger than {LARGEST // 2**20} MiB", "a launch script has some kilobytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PlannerError(f"{name} is no text: byte {error.start} is not UTF-8") from None
