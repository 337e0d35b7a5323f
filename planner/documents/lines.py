"""Numbers explained."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import TypedDict

from planner.documents.values import Among
from planner.formula import TRUST

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
