"""Files of measurements as rows of one format: a dictionary of columns, every cell text.

benchmarks/measured/README.md tells the columns. An empty cell means that the source does not say. Unknown columns are
ignored, missing optional ones are empty.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from planner.accuracy.adapters import ADAPTERS
from planner.accuracy.mapping import published
from planner.catalog.textfile import MIB, read_bytes
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.wording import schema_problem

Row: TypeAlias = dict[str, str]

NEEDED = ("id", "gpu", "n_gpus", "global_batch", "micro_batch", "metric", "value")
"""Columns without which a file is not in the format; every other one may be missing."""

LARGEST = 16 * MIB
"""Bytes of a file that is still taken to be a table of measurements."""

MOST = 1e9
"""Largest count in a cell."""

_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")


class Unusable(Exception):
    """Why a row cannot be scored."""


R = TypeVar("R", bound=BaseModel)


def usable(record: type[R], fields: dict[str, Any], what: str = "") -> R:
    """The record of a row's fields.

    Raises:
        Unusable: the first of them that cannot be, by its name or as `what`.
    """
    try:
        return record.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise Unusable(f"{what or problem['loc'][0]}: {schema_problem(problem)}") from None


@frozen
class Skipped:
    """A row that cannot be scored."""

    id: str
    reason: str


@frozen
class Table:
    """The rows of one file, in the common format."""

    path: Path
    rows: tuple[Row, ...]


def read_table(path: Path) -> Table:
    """Rows of a CSV file in the common format or in one of the published layouts that an adapter knows.

    Raises:
        PlannerError: the file cannot be read, is no CSV, or lacks columns.
    """
    header, rows = _records(path)
    for layout, adapt in ADAPTERS.items():
        if set(header).issuperset(published(layout)["columns"]):
            return Table(path, tuple(new for row in rows for new in _adapted(path, adapt, row)))
    if missing := [name for name in NEEDED if name not in header]:
        raise PlannerError(
            f"{path}: not a table of measurements: no column {', '.join(missing)}",
            "columns: those of benchmarks/measured/README.md",
        )
    return Table(path, tuple(rows))


def _adapted(path: Path, adapt: Callable[[Row], Iterator[Row]], row: Row) -> list[Row]:
    """A row of another layout in the common format."""
    try:
        return list(adapt(row))
    except (ValueError, ArithmeticError):
        raise PlannerError(f"{path}: line {row['_line']}: a cell that should be a number is none") from None


def read_csv(path: Path, needed: tuple[str, ...]) -> tuple[Row, ...]:
    """Rows of a CSV file that has the needed columns.

    Raises:
        PlannerError: the file cannot be read, is no CSV, or lacks columns.
    """
    header, rows = _records(path)
    if missing := [name for name in needed if name not in header]:
        raise PlannerError(f"{path}: no column {', '.join(missing)}", f"needed: {', '.join(needed)}")
    return tuple(rows)


def read_folder(folder: Path) -> tuple[list[Table], list[str]]:
    """Every CSV file of a folder that is a table of measurements, and the names of those that are not."""
    tables, others = [], []
    for path in sorted(folder.glob("*.csv")):
        try:
            tables.append(read_table(path))
        except PlannerError:
            others.append(path.name)
    return tables, others


def _records(path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows of a CSV file, numbered from 1 in the column `_line`."""
    raw = read_bytes(path, LARGEST, "cut it: the rows of one model are enough")
    if b"\0" in raw[:4096]:
        raise PlannerError(f"{path}: not a CSV file", "a table of text with a header line and commas between cells")
    try:
        reader = csv.DictReader(raw.decode("utf-8-sig").splitlines())
        rows = [{k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in reader]
    except (UnicodeDecodeError, csv.Error):
        raise PlannerError(
            f"{path}: not a CSV file", "text in UTF-8 with commas between cells of at most 128 KiB"
        ) from None
    return [name.strip() for name in reader.fieldnames or []], [{k.strip(): v for k, v in row.items()} for row in rows]


def number(text: str) -> float | None:
    """The number that a cell begins with ("50257 (config default)" is 50257), or None; 1e400 is none."""
    match = _NUMBER.match(text)
    value = float(match[1]) if match else None
    return value if value is not None and isfinite(value) else None


def whole(row: Row, name: str, least: int = 1) -> int | None:
    """A cell as a whole number; None when it is empty or begins with none.

    Raises:
        Unusable: less than `least`, a fraction, or larger than anything that can be counted.
    """
    value = number(row.get(name, ""))
    if value is None:
        return None
    if not least <= value <= MOST or value != int(value):
        raise Unusable(f"{name} is no count")
    return int(value)


def says(row: Row, name: str, words: Iterable[str]) -> bool:
    """True when a cell, in lower case, holds one of the words."""
    text = row.get(name, "").lower()
    return any(word in text for word in words)
