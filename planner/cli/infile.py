"""Files that a command reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from planner.catalog.textfile import MIB, decoded, read_bytes, read_stream
from planner.cli.streams import stdin

LARGEST = 4 * MIB
"""Bytes of a script, configuration or answer that are still read."""

PACKAGE = Path(__file__).parents[1]

_HINT = "a launch script has some kilobytes"


def read_text(name: str) -> str:
    """The text of a file, or of stdin for "-".

    Raises:
        PlannerError: it is missing, too large, or no text.
    """
    if name == "-":
        return decoded(read_stream(stdin(), "stdin", LARGEST, _HINT), "stdin")
    return decoded(read_bytes(Path(name), LARGEST, _HINT), name)


def beside(file: str) -> Callable[[str], str | None]:
    """Reads files that a script names, where they lie beside it or under the working directory, and no others."""
    places = [Path()] if file == "-" else [Path(file).parent, Path()]

    def text_of(name: str) -> str | None:
        for place in places:
            for path in (place / name, place / Path(name).name):
                if _inside(path, places) and path.is_file():
                    return read_text(str(path))
        return None

    return text_of


def _inside(path: Path, places: list[Path]) -> bool:
    """Whether a path leads to somewhere below one of the places."""
    try:
        whole = path.resolve()
        return any(whole.is_relative_to(place.resolve()) for place in places)
    except (OSError, RuntimeError, ValueError):
        return False


def measured(name: str) -> Path:
    """The folder inside the wheel (`planner/_measured`); in a checkout the one of benchmarks/."""
    inside = PACKAGE / f"_{name}"
    return inside if inside.is_dir() else PACKAGE.parent / "benchmarks" / name
