"""Quantities: "80 GiB", "400 Gb/s", "312 TFLOP/s" <-> floats in SI base units (byte, byte/s, FLOP/s, s, W).

Case matters: B is byte, b is bit. GB (1e9) and GiB (2**30) are both legal and differ. A plain number is refused in a
profile, because sources mix the units (AWS prints one figure as GB/s and as GiB/s).
"""

from __future__ import annotations

import re

from planner.errors import UnitError

GIB = float(2**30)

_SI = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_IEC = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_TIME = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

_UNITS: dict[str, dict[str, float]] = {
    "byte": {f"{p}B": x for p, x in (_SI | _IEC).items()},
    "byte/s": {f"{p}B/s": x for p, x in (_SI | _IEC).items()} | {f"{p}b/s": x / 8 for p, x in _SI.items()},
    "flop/s": {f"{p}FLOP/s": x for p, x in _SI.items()},
    "second": _TIME,
    "watt": {"W": 1.0, "kW": 1e3},
    "count": {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12},
}
_EXAMPLE = {
    "byte": "80 GiB",
    "byte/s": "2039 GB/s or 400 Gb/s",
    "flop/s": "312 TFLOP/s",
    "second": "4 us",
    "watt": "700 W",
    "count": "70.6 B",
}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-zµ/]*)\s*")


def parse(text: object, dimension: str) -> float:
    """Read a quantity of one dimension: `parse("400 Gb/s", "byte/s") == 5e10`.

    Raises:
        UnitError: not a number with a unit of that dimension; the message shows a right example.
    """
    hint = f'write it like "{_EXAMPLE[dimension]}"'
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or len(match[0]) > 64:
        raise UnitError(f"{text!r:.60} is not a quantity in {dimension}", hint)
    number, unit = float(match[1]), match[2]
    if unit not in _UNITS[dimension]:
        what = f"the unit {unit!r} is none of {dimension}" if unit else f"{text!r} has no unit"
        raise UnitError(what, hint)
    value = number * _UNITS[dimension][unit]
    if not 0 <= value < float("inf"):
        raise UnitError(f"{text!r} must be finite and not negative", hint)
    return value


def given(option: str, text: str, dimension: str, usage: str) -> float:
    """The quantity that an option is given.

    Raises:
        UnitError: it is none; names the option, and how it is used.
    """
    try:
        return parse(text, dimension)
    except UnitError as error:
        raise UnitError(f"{option}: {error}", usage) from None


_LENGTH = re.compile(r"(-?[0-9]{1,12}|[0-9]{1,6}\.[0-9]{1,3})([kKmM]?)")


def tokens(text: str) -> int:
    """A length in tokens as people write it: "4096", "32k" is 32 x 1,024, "1M" is 1,048,576.

    Raises:
        UnitError: no such number, or no whole one.
    """
    match = _LENGTH.fullmatch(text.strip().replace(",", "").replace("_", ""))
    value = float(match[1]) * {"": 1, "k": 2**10, "m": 2**20}[match[2].lower()] if match else 0.5
    if value != int(value):
        raise UnitError(f"{text!r:.40} is no number of tokens", "a whole number, 32k (32,768) or 1M (1,048,576)")
    return int(value)


def whole_number(text: str) -> int | None:
    """A text of one to nine digits as a number; None for any other."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def example(dimension: str) -> str:
    """A quantity of the dimension as a profile writes it."""
    return _EXAMPLE[dimension]


def _scaled(value: float, steps: list[tuple[float, str]], digits: int = 3) -> str:
    """`value` over the largest step that it reaches, with `digits` significant digits."""
    if value == 0:
        return f"0 {steps[-1][1]}".rstrip()
    scale, unit = next((step for step in steps if abs(value) >= step[0] * 0.9995), steps[-1])
    x = value / scale
    whole = len(str(int(abs(x)))) if abs(x) >= 1 else 1
    return f"{x:,.{max(0, digits - whole)}f} {unit}".rstrip()


def format_bytes(value: float) -> str:
    """Bytes in the binary units in which devices report their memory: `format_bytes(80 * 2**30) == "80.0 GiB"`."""
    return _scaled(value, [(2.0**40, "TiB"), (GIB, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")])


def format_rate(value: float) -> str:
    """Bytes per second in decimal units: `format_rate(3e11) == "300 GB/s"`."""
    return _scaled(value, [(1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")])


def format_seconds(value: float) -> str:
    """Seconds in the unit that reads best: `format_seconds(0.0123) == "12.3 ms"`."""
    return _scaled(
        value, [(86400.0, "d"), (3600.0, "h"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"), (1.0, "s")]
    )


def format_count(value: float) -> str:
    """Large counts in k, M, B, T: `format_count(70.56e9) == "70.6 B"`."""
    return _scaled(value, [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")])


def format_flops(value: float) -> str:
    """FLOP/s: `format_flops(3.12e14) == "312 TFLOP/s"`."""
    return _scaled(value, [(1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1.0, "FLOP/s")])
