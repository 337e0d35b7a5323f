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
        found: Any = 0.0
        none = True
        for name in names(type(self)):
            part = getattr(self, name)
            if not isinstance(part, float) or part != 0.0:
                found, none = (part if none else found + part), False
        total: Number = found
        return total


_NAMES: dict[type[Any], tuple[str, ...]] = {}


def names(record: type[Any]) -> tuple[str, ...]:
    """Fields of a record, in order."""
    if record not in _NAMES:
        _NAMES[record] = tuple(field.name for field in fields(record))
    return _NAMES[record]
