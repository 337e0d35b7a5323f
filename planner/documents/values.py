"""Kinds of values in the JSON answers. Numbers are SI, their unit stands in the key; money is US dollars."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt

from planner.frozen import frozen

Whole = Annotated[int, Ge(0)]
Positive = Annotated[int, Ge(1)]
Amount = Annotated[float, Ge(0)]
Above = Annotated[float, Gt(0)]


@frozen
class As:
    """What a value is, where type checkers see less: a record that was written to a dictionary, one of some words."""

    kind: Any


@frozen
class Among:
    """One of these values."""

    values: tuple[str | int, ...]


@frozen
class Parts:
    """Amounts with these keys and no others."""

    names: tuple[str, ...]


@frozen
class Pattern:
    """Text of this form."""

    pattern: str
