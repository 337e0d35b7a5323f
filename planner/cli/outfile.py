"""Files that a command writes: whole or not at all. What is no regular file is written to, never replaced."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from planner.catalog.textfile import replace_all
from planner.errors import PlannerError


def save(path: Path, text: str, option: str = "--out") -> None:
    """Write what an option names beside the target, then rename: a failed command leaves what was there before.

    A link leads to the file that is written; a pipe or a device (/dev/stdout) takes the text as it comes.

    Raises:
        PlannerError: the directory is missing, or nothing can be written there.
    """
    if path.is_dir():
        example = path / {"--out": "timeline.svg", "--rows": "rows.csv"}.get(option, "answer.html")
        raise PlannerError(f"{option} {path} is a directory", f"name a file in it: {option} {example}")
    with _explained(path, option):
        if (number := _descriptor(path)) is not None:
            sys.stdout.flush()
            _pour(os.dup(number), text)
        elif path.exists() and not path.is_file():
            _pour(os.open(path, os.O_WRONLY | os.O_NOCTTY), text)
        else:
            replace_all({_target(path, option): text})


def save_all(directory: Path, texts: dict[str, str]) -> None:
    """Write several files into a directory, which is made if need be: all of them, or none.

    Raises:
        PlannerError: something else stands where the directory or one of the files should, or nothing can be written.
    """
    if directory.exists() and not directory.is_dir():
        raise PlannerError(f"--out {directory} is a file", "name a directory")
    with _explained(directory, "--out"):
        directory.mkdir(parents=True, exist_ok=True)
        targets = {_target(directory / name, "--out"): text for name, text in texts.items()}
        for target in targets:
            if target.exists() and not target.is_file():
                raise PlannerError(f"--out {directory}: {target} is no regular file", "move it away")
        replace_all(targets)


@contextmanager
def _explained(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PlannerError(f"{option} {path}: {reason}", "choose a place that can be written") from None


def _descriptor(path: Path) -> int | None:
    """N, if the path is another name of /dev/fd/N; opening that anew would cut off what is in a file already."""
    while True:
        if path.name.isdigit() and os.path.realpath(path.parent) == os.path.realpath("/dev/fd"):
            return int(path.name)
        if not path.is_symlink() or not path.exists():
            return None
        path = path.parent / os.readlink(path)


def _target(path: Path, option: str) -> Path:
    """The file that a path leads to, there or not.

    Raises:
        OSError: links in a circle.
        PlannerError: its directory is missing.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not target.parent.is_dir():
        raise PlannerError(f"{option} {path}: there is no directory {target.parent}", "create it first")
    return target


def _pour(handle: int, text: str) -> None:
    """Into a pipe or a device; that its reader has gone is no mistake."""
    with suppress(BrokenPipeError), os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
