"""Bytes and text that come from outside, never more than a limit, whatever they come from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from planner.errors import ProfileError
from planner.wording import os_reason

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable as Traversable
    else:
        from importlib.abc import Traversable as Traversable

MIB = 2**20

PIECE = 2**16
"""Bytes that are read at once: room for the whole limit takes longer to come by than most files to read."""


def read_bytes(source: Traversable | Path, limit: int, hint: str) -> bytes:
    """The bytes of a file, device or pipe that has no more than `limit` of them.

    Raises:
        ProfileError: missing, a directory, unreadable, or larger.
    """
    try:
        with open(source, "rb", buffering=0) if isinstance(source, Path) else source.open("rb") as file:
            return read_stream(file, str(source), limit, hint)
    except (OSError, ValueError, KeyError) as error:
        raise ProfileError(f"{source}: {os_reason(error)}", "name a file that can be read") from None


def read_stream(file: IO[bytes], name: str, limit: int, hint: str) -> bytes:
    """The bytes that are left of a stream, of which no more than `limit` are read.

    Raises:
        ProfileError: there are more.
    """
    parts, left = [], limit + 1
    while left and (part := file.read(min(left, PIECE))):
        parts.append(part)
        left -= len(part)
    if not left:
        size = f"{limit // MIB} MiB" if limit % MIB == 0 else f"{limit / 1e6:g} MB"
        raise ProfileError(f"{name}: larger than {size}", hint)
    return b"".join(parts)


def decoded(data: bytes, name: str) -> str:
    """UTF-8 as text, without a byte order mark.

    Raises:
        ProfileError: it is something else; names the line.
    """
    zero = data.find(b"\0")
    try:
        if zero < 0:
            return data.decode("utf-8-sig")
        what = "a zero byte: no text, or not UTF-8"
    except UnicodeDecodeError as error:
        zero, what = error.start, "not UTF-8 text"
    line = data.count(b"\n", 0, zero) + 1
    raise ProfileError(f"{name}:{line}: {what}", "save the file as UTF-8")
