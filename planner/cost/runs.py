"""Evaluate a function once per run of equal rows, instead of once per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from planner.parts import names
from planner.plan import Num, Plan

T = TypeVar("T")


def on_runs(function: Callable[..., T], *columns: Num) -> T:
    """`function(*columns)`, row by row the same bits, computed on the first row of each run of equal rows.

    A layer's cost depends on (tp, cp, ep, sp, b) only, while neighbouring plans differ in v, k and ZeRO stage. Numbers
    and columns of a grid, which hold each row once, go straight through.
    """
    if max(np.ndim(c) for c in columns) != 1:
        return function(*columns)
    rows = np.broadcast_arrays(*columns)
    changed = np.zeros(len(rows[0]) - 1, dtype=bool)
    for column in rows:
        changed |= column[1:] != column[:-1]
    if changed.all():
        return function(*rows)
    starts = np.concatenate(([0], np.flatnonzero(changed) + 1))
    lengths = np.diff(np.concatenate((starts, [len(rows[0])])))
    expanded: T = _each(lambda array: np.repeat(array, lengths), function(*(row[starts] for row in rows)))
    return expanded


def on_equal(function: Callable[[Plan], T], plan: Plan, depends: Sequence[str]) -> T:
    """`function(plan)`, evaluated on one plan of each run of neighbours that agree in the fields it depends on."""

    def named(*columns: Any) -> T:
        return function(replace(plan, **dict(zip(depends, columns, strict=True))))

    return on_runs(named, *(getattr(plan, name) for name in depends))


def at(value: T, row: int) -> T:
    """One row of every array inside a record of arrays; numbers stay as they are."""
    found: T = _each(lambda array: array[row], value)
    return found


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """A record or several with every array inside changed; numbers stay numbers."""
    if isinstance(value, tuple):
        return tuple(_each(change, one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(_each(change, getattr(value, name)) for name in names(type(value))))
    return change(value) if isinstance(value, np.ndarray) and value.ndim else value
