"""Quantities and sizes that a profile may state: unit, and a range that leaves room for decades of real machines.

What lies outside is a slip of the pen or a unit: it is refused with the range, before a formula meets it. The readers
make their own core schemas: pydantic's validators look at the signature of every function, which takes longer than all
else that a profile's records need.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from pydantic_core.core_schema import (
    float_schema,
    int_schema,
    no_info_after_validator_function,
    no_info_before_validator_function,
)

from planner.errors import UnitError
from planner.units import example, parse

if TYPE_CHECKING:
    from pydantic import BaseModel, GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class _Quantity:
    """A number with a unit, as text, inside a range."""

    def __init__(self, dimension: str, least: str, most: str) -> None:
        self.dimension, self.least, self.most = dimension, least, most
        self.low, self.high = parse(least, dimension), parse(most, dimension)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_before_validator_function(self.read, float_schema())

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        of = self.dimension
        return {"type": "string", "description": f"quantity in {of}", "examples": [example(of)]}

    def read(self, value: object) -> float:
        """In SI."""
        try:
            number = parse(value, self.dimension)
        except UnitError as error:  # pydantic reports ValueErrors with the key path
            raise ValueError(f"{error}; {error.hint[0]}") from None
        if not self.low <= number <= self.high:
            raise ValueError(f"{value!r:.40} is out of range: {self.least} to {self.most}")
        return number


@cache
def dimensions(kind: type[BaseModel]) -> dict[str, str]:
    """Dimension of every quantity of a profile, as its annotation has it; "" of what is none."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: _dimension(hints[name]) for name in kind.model_fields}


def _dimension(hint: Any) -> str:
    inside = (getattr(part, "dimension", "") or _dimension(part) for part in get_args(hint))
    return next(filter(None, inside), "")


class _Between:
    """A plain number inside a range."""

    def __init__(self, least: float, most: float, unit: str = "") -> None:
        self.least, self.most, self.unit = least, most, unit

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, int_schema() if source is int else float_schema())

    def check(self, value: float) -> float:
        """The number."""
        if not self.least <= value <= self.most:
            span = f"{_shown(self.least)} to {_shown(self.most)} {self.unit}"
            raise ValueError(f"{_shown(value)} is out of range: {span}".rstrip())
        return value


def _shown(value: float) -> str:
    """A number in the few characters that a line has for it."""
    if isinstance(value, float):
        return f"{value:,.9g}"
    return f"{value:,}" if abs(value) < 10**18 else "a number of more than 18 digits"


Bytes = Annotated[float, _Quantity("byte", "0 B", "1000 TB")]
Memory = Annotated[float, _Quantity("byte", "1 MB", "1000 TB")]
BytesPerSecond = Annotated[float, _Quantity("byte/s", "1 MB/s", "1 EB/s")]
FlopsPerSecond = Annotated[float, _Quantity("flop/s", "1 GFLOP/s", "1000 EFLOP/s")]
Seconds = Annotated[float, _Quantity("second", "0 s", "60 s")]
Watts = Annotated[float, _Quantity("watt", "1 W", "1000 kW")]
Count = Annotated[float, _Quantity("count", "1", "1000000 T")]
"""Written with a unit, "400 Gb/s", and held in SI. Seconds are those of one call, one kernel, one step of a host."""

Share = Annotated[float, _Between(0.0, 1.0)]
Used = Annotated[float, _Between(0.01, 1.0)]
Fraction = Annotated[float, _Between(0.001, 1.2, "of the datasheet's figure")]
Factor = Annotated[float, _Between(0.01, 1000.0, "times")]
PerItem = Annotated[float, _Between(0.0, 1000.0)]
Extent = Annotated[float, _Between(0.0, 1e6)]
Domains = Annotated[float, _Between(0.01, 1e9)]
Dollars = Annotated[float, _Between(0.001, 5000.0, "US dollars per hour")]
"""Plain numbers: shares of a whole; what is reached of a datasheet; ratios; bytes or kernels per item; sizes at which a
rate is halved."""

Layers = Annotated[int, _Between(1, 2_000, "layers")]
Width = Annotated[int, _Between(1, 10_000_000)]
Heads = Annotated[int, _Between(1, 100_000)]
Vocabulary = Annotated[int, _Between(1, 10_000_000, "tokens")]
Experts = Annotated[int, _Between(1, 100_000, "experts")]
ExpertsBeside = Annotated[int, _Between(0, 1_000, "experts")]
Requests = Annotated[int, _Between(1, 1_000_000, "requests")]
Tokens = Annotated[int, _Between(1, 10**9, "tokens")]
Accelerators = Annotated[int, _Between(1, 1_000_000, "accelerators")]
"""Whole numbers; widths are those of vectors and of matrices' sides."""
