"""Evaluate a function once per run of equal rows, instead of once per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass, replace
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from planner.parts import names
from planner.plan import Index, Ints, Plan

T = TypeVar("T")


def on_equal(function: Callable[[Plan], T], plan: Plan, depends: Sequence[str]) -> T:
    """`function(plan)`, evaluated on one plan of each run of neighbours that agree in the fields it depends on."""
    part, run = distinct(plan, depends)
    return function(part) if run is None else at(function(part), run)


def distinct(plan: Plan, depends: Sequence[str]) -> tuple[Plan, Ints | None]:
    """One plan of each run of neighbours that agree in some fields, the only ones it has; of which run every plan is.

    A layer's cost depends on (tp, cp, ep, sp, b) only, while neighbouring plans differ in v, k and ZeRO stage. Numbers
    and grids, which hold each of their columns once, and plans no two neighbours of which agree, stay as they are.
    """
    columns = np.broadcast_arrays(*(getattr(plan, name) for name in depends))
    if columns[0].ndim != 1:
        return plan, None
    new = np.ones(len(columns[0]), dtype=bool)
    new[1:] = reduce(np.logical_or, (column[1:] != column[:-1] for column in columns))
    if new.all():
        return plan, None
    firsts: Any = (column[new] for column in columns)
    return replace(plan, **dict(zip(depends, firsts, strict=True))), np.cumsum(new) - 1


def at(value: T, rows: Index) -> T:
    """One row of every array inside a record of arrays, or some of them; numbers stay as they are."""
    found: T = _each(lambda array: array[rows], value)
    return found


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """A record or several with every array inside changed; numbers stay numbers."""
    if isinstance(value, np.ndarray | float):
        return change(value) if isinstance(value, np.ndarray) and value.ndim else value
    if isinstance(value, tuple):
        return tuple(_each(change, one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(_each(change, getattr(value, name)) for name in names(type(value))))
    return value
