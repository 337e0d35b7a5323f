"""Bytes and text that come from outside, never more than a limit, and text that goes out, whole or not at all."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
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


def replace_all(texts: dict[Path, str]) -> None:
    """Write files: all are on the disk before the first is replaced; a move that fails takes back those before it.

    Raises:
        OSError: something cannot be written.
    """
    import tempfile

    drafts: dict[Path, str] = {}
    kept: dict[Path, bytes | None] = {}
    try:
        for path, text in texts.items():
            handle, drafts[path] = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(drafts[path], _mode(path))
        for path, draft in drafts.items():
            before = path.read_bytes() if len(drafts) > 1 and path.exists() else None
            os.replace(draft, path)
            kept[path] = before
    except BaseException:
        with suppress(OSError):
            for path, old in kept.items():
                path.unlink() if old is None else path.write_bytes(old)
        for draft in drafts.values():
            with suppress(OSError):
                os.unlink(draft)
        raise


def _mode(path: Path) -> int:
    """Permissions of the file that is replaced, or those that a new one gets."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
