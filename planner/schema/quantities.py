"""Quantities and sizes that a profile may state: unit, and a range that leaves room for decades of real machines.

What lies outside is a slip of the pen or a unit: it is refused with the range, before a formula meets it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from planner.errors import UnitError
from planner.units import example, parse


def _quantity(dimension: str, least: str, most: str) -> tuple[BeforeValidator, WithJsonSchema]:
    low, high = parse(least, dimension), parse(most, dimension)

    def read(value: object) -> float:
        try:
            number = parse(value, dimension)
        except UnitError as error:  # pydantic reports ValueErrors with the key path
            raise ValueError(f"{error}; {error.hint[0]}") from None
        if not low <= number <= high:
            raise ValueError(f"{value!r:.40} is out of range: {least} to {most}")
        return number

    schema = {"type": "string", "description": f"quantity in {dimension}", "examples": [example(dimension)]}
    return BeforeValidator(read), WithJsonSchema(schema)


def _between(least: float, most: float, unit: str = "") -> AfterValidator:
    def check(value: float) -> float:
        if not least <= value <= most:
            raise ValueError(f"{_shown(value)} is out of range: {_shown(least)} to {_shown(most)} {unit}".rstrip())
        return value

    return AfterValidator(check)


def _shown(value: float) -> str:
    """A number in the few characters that a line has for it."""
    if isinstance(value, float):
        return f"{value:,.9g}"
    return f"{value:,}" if abs(value) < 10**18 else "a number of more than 18 digits"


_BYTES = _quantity("byte", "0 B", "1000 TB")
_MEMORY = _quantity("byte", "1 MB", "1000 TB")
_RATE = _quantity("byte/s", "1 MB/s", "1 EB/s")
_FLOPS = _quantity("flop/s", "1 GFLOP/s", "1000 EFLOP/s")
_SECONDS = _quantity("second", "0 s", "60 s")
_WATTS = _quantity("watt", "1 W", "1000 kW")
_COUNT = _quantity("count", "1", "1000000 T")

Bytes = Annotated[float, _BYTES[0], _BYTES[1]]
Memory = Annotated[float, _MEMORY[0], _MEMORY[1]]
BytesPerSecond = Annotated[float, _RATE[0], _RATE[1]]
FlopsPerSecond = Annotated[float, _FLOPS[0], _FLOPS[1]]
Seconds = Annotated[float, _SECONDS[0], _SECONDS[1]]
Watts = Annotated[float, _WATTS[0], _WATTS[1]]
Count = Annotated[float, _COUNT[0], _COUNT[1]]
"""Written with a unit, "400 Gb/s", and held in SI. Seconds are those of one call, one kernel, one step of a host."""

Share = Annotated[float, _between(0.0, 1.0)]
Used = Annotated[float, _between(0.01, 1.0)]
Fraction = Annotated[float, _between(0.001, 1.2, "of the datasheet's figure")]
Factor = Annotated[float, _between(0.01, 1000.0, "times")]
PerItem = Annotated[float, _between(0.0, 1000.0)]
Extent = Annotated[float, _between(0.0, 1e6)]
Domains = Annotated[float, _between(0.01, 1e9)]
Dollars = Annotated[float, _between(0.001, 5000.0, "US dollars per hour")]
"""Plain numbers: shares of a whole; what is reached of a datasheet; ratios; bytes or kernels per item; sizes at which a
rate is halved."""

Layers = Annotated[int, _between(1, 2_000, "layers")]
Width = Annotated[int, _between(1, 10_000_000)]
Heads = Annotated[int, _between(1, 100_000)]
Vocabulary = Annotated[int, _between(1, 10_000_000, "tokens")]
Experts = Annotated[int, _between(1, 100_000, "experts")]
ExpertsBeside = Annotated[int, _between(0, 1_000, "experts")]
Requests = Annotated[int, _between(1, 1_000_000, "requests")]
Tokens = Annotated[int, _between(1, 10**9, "tokens")]
Accelerators = Annotated[int, _between(1, 1_000_000, "accelerators")]
"""Whole numbers; widths are those of vectors and of matrices' sides."""
