"""Files that a command writes: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from planner.errors import PlannerError


def save(path: Path, text: str) -> None:
    """Write beside the target, then rename: a failed command leaves what was there before.

    Raises:
        PlannerError: the directory is missing, or nothing can be written there.
    """
    if path.is_dir():
        raise PlannerError(f"--out {path} is a directory", f"name a file in it: --out {path / 'timeline.svg'}")
    if not path.parent.is_dir():
        raise PlannerError(f"--out {path}: there is no directory {path.parent}", "create it first")
    try:
        _replace(path, text)
    except OSError as error:
        raise PlannerError(f"--out {path}: {error.strerror or error}", "choose a place that can be written") from None


def save_all(directory: Path, texts: dict[str, str]) -> None:
    """Write several files into a directory, which is made if need be: all of them, or none.

    Raises:
        PlannerError: a file stands where the directory should, or nothing can be written there.
    """
    if directory.exists() and not directory.is_dir():
        raise PlannerError(f"--out {directory} is a file", "name a directory")
    done: dict[Path, str | None] = {}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = directory / name
            done[path] = path.read_text(encoding="utf-8") if path.exists() else None
            _replace(path, text)
    except OSError as error:
        for path, before in done.items():
            _undo(path, before)
        raise PlannerError(
            f"--out {directory}: {error.strerror or error}", "choose a place that can be written"
        ) from None


def _undo(path: Path, before: str | None) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True) if before is None else _replace(path, before)


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, _mode(path))
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode(path: Path) -> int:
    """Permissions of the file that is replaced, or those that a new one gets."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
