"""Records whose fields are parts of one total."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Generic

from planner.plan import Number


class Sum(Generic[Number]):
    """A record whose fields are parts of one total."""

    @property
    def parts(self) -> dict[str, Number]:
        """The parts by name, in order."""
        return {name: getattr(self, name) for name in names(type(self))}

    @property
    def total(self) -> Number:
        """The sum of the parts, added in order, so that a scalar and a batch agree bit for bit."""
        total: Any = 0.0
        for name in names(type(self)):
            part = getattr(self, name)
            total = part if _zero(total) else total if _zero(part) else total + part
        found: Number = total
        return found


def _zero(value: object) -> bool:
    """Whether a sum may leave it out: a plain zero, not an array of them."""
    return isinstance(value, float) and value == 0.0


_NAMES: dict[type[Any], tuple[str, ...]] = {}


def names(record: type[Any]) -> tuple[str, ...]:
    """Fields of a record, in order."""
    if record not in _NAMES:
        _NAMES[record] = tuple(field.name for field in fields(record))
    return _NAMES[record]
