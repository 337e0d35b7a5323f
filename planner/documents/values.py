"""Kinds of values in the JSON answers. Numbers are SI, their unit stands in the key; money is US dollars."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from typing_extensions import TypedDict

from planner.formula import TRUST
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


class Instance(TypedDict):
    """So many nodes of a type."""

    type: str
    provider: str
    count: Positive


class Given(TypedDict):
    """A price that the user gave."""

    source: Literal["given"]


class Listed(TypedDict):
    """The price of an instance, as its provider lists it."""

    instance: str
    instances: Positive
    provider: str
    usd_per_hour_each: Above
    region: str
    date: str
    source: str


Price = Given | Listed


UNITS = ("parameters", "bytes", "bytes/s", "s", "1", "1/s", "FLOP", "FLOP/s", "tokens", "requests")


class Variable(TypedDict):
    """A number in a formula.

    Attributes:
        value: SI, full precision.
    """

    value: float
    unit: str


class Line(TypedDict):
    """One number.

    Attributes:
        formula: of the variables, numbers, + - * / ** and max, min, floor, ceil, sqrt, log2: gives value.
        name: the line as the variables of other lines name it.
        variables: what stands in the formula: other lines by their name, facts, and sizes of an operator.
    """

    group: str
    symbol: str
    formula: str
    numbers: str
    value: float
    unit: Annotated[str, Among(UNITS)]
    text: str
    source: str
    trust: Annotated[str, Among(TRUST)]
    name: str
    variables: dict[str, Variable]
