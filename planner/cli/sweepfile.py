"""The file that a sweep appends to: whole records only, written by one sweep at a time."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from planner.errors import PlannerError
from planner.frozen import frozen

Record = dict[str, Any]
Done = dict[str, bool]

LONGEST = 2**20
"""Bytes of a line that is still taken for a record."""

_BEGINNING = b'{"schema": "planner.sweep/1", "cell": "'


@frozen
class Table:
    """Where records go: a file, which is only appended to, or stdout.

    Attributes:
        columns: fields of every record, in order.
    """

    path: Path | None
    columns: list[str]

    @property
    def is_csv(self) -> bool:
        """By the file's name; stdout is NDJSON."""
        return self.path is not None and self.path.suffix.lower() == ".csv"

    def done(self) -> Done:
        """Cells that are in the file now, and whether each fits. Whether a sweep is writing to it does not matter.

        Raises:
            PlannerError: the file is of another sweep or of no sweep at all, or cannot be one.
        """
        self._check_place()
        if self.path is None or not self.path.is_file():
            return {}
        with self.path.open("rb") as file:
            return self._read(file)[0]

    @contextmanager
    def opened(self) -> Iterator[tuple[Done, Callable[[Iterable[Record]], None]]]:
        """Cells that are in the file already, and a function that adds records; nobody else adds any meanwhile.

        A torn last line is cut off. What is no regular file is only written to.

        Raises:
            PlannerError: as for `done`; another sweep has the file; later: it cannot be written to any more.
        """
        self._check_place()
        if self.path is None:
            yield {}, lambda records: print(end="".join(map(self._line, records)), flush=True)
            return
        regular = self.path.is_file() or not self.path.exists()
        with self.path.open("a+b" if regular else "wb", buffering=0) as file:
            if regular:
                _lock(file, self.path)
            done, size = self._read(file) if regular else ({}, 0)
            if regular and size < file.seek(0, os.SEEK_END):
                file.truncate(size)
            if self.is_csv and size == 0:
                self._append(file, _row(self.columns))
            yield done, lambda records: self._append(file, "".join(map(self._line, records)))

    def _check_place(self) -> None:
        if self.path is None:
            return
        if self.path.is_dir():
            raise PlannerError(f"--out {self.path} is a directory", f"--out {self.path / 'results.ndjson'}")
        if not self.path.parent.is_dir():
            raise PlannerError(f"--out {self.path}: there is no directory {self.path.parent}", "create it first")

    def _read(self, file: BinaryIO) -> tuple[Done, int]:
        """Cells of the whole lines, and how many bytes these are."""
        done: Done = {}
        size = 0
        file.seek(0)
        reader = io.BufferedReader(file)  # type: ignore[type-var]
        for number, line in enumerate(iter(lambda: reader.readline(LONGEST), b""), start=1):
            if not line.endswith(b"\n") and self._is_torn(line, number):
                break
            if number > 1 or not self.is_csv:
                cell, fits = self._parse(line, number)
                done[cell] = fits
            elif _cells(line) != self.columns:
                raise PlannerError(f"--out {self.path} has other columns than this sweep", "name another file")
            size += len(line)
        reader.detach()
        return done, size

    def _is_torn(self, line: bytes, number: int) -> bool:
        """Whether a line without end can be the beginning of a record, and not of someone's notes."""
        first = _BEGINNING if not self.is_csv else _row(self.columns).encode() if number == 1 else b""
        return len(line) < LONGEST and (line.startswith(first) or first.startswith(line))

    def _parse(self, line: bytes, number: int) -> tuple[str, bool]:
        """The cell of a record, and whether it fits."""
        try:
            names = dict(zip(self.columns, _cells(line), strict=True)) if self.is_csv else json.loads(line)
            return str(names["cell"]), names["status"] == "fits"
        except (ValueError, KeyError, TypeError, RecursionError):
            what = f"--out {self.path}, line {number} is no record of a sweep"
            raise PlannerError(what, "name another file") from None

    def _line(self, record: Record) -> str:
        if self.is_csv:
            return _row([record[name] for name in self.columns])
        return json.dumps({"schema": "planner.sweep/1", **record}, allow_nan=False) + "\n"

    def _append(self, file: BinaryIO, text: str) -> None:
        """Write lines; what does not go in whole is cut off again."""
        data, written = text.encode(), 0
        try:
            while written < len(data):
                written += file.write(data[written:])
        except BrokenPipeError:
            raise
        except OSError as error:
            torn = written - (data.rfind(b"\n", 0, written) + 1)
            with suppress(OSError):
                file.truncate(file.seek(0, os.SEEK_END) - torn)
            raise PlannerError(
                f"--out {self.path}: {(error.strerror or str(error)).lower()}; what is in it is whole",
                "make room, or move it to where there is some: the same command goes on from it",
            ) from None


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep other sweeps out until this process ends. Where there are no such locks (Windows, some network file systems)
    nothing does.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise PlannerError(
            f"--out {path}: another sweep is writing to it", "wait for it, or name another file"
        ) from None
    except OSError:
        return


def _row(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _cells(line: bytes) -> list[str]:
    """The fields of a row."""
    try:
        return next(csv.reader([line.decode("utf-8", errors="replace")]), [])
    except csv.Error:
        raise ValueError from None
