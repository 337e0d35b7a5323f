"""Frozen records with slots, made in a third of the time that `dataclasses` takes for them.

A command imports more than a hundred records before it answers, and `dataclass(frozen=True, slots=True)` writes and
compiles six methods for each. Five of them can be the same for all. What comes out is a dataclass: `fields`, `replace`,
`field`, matching, pickling and type checkers know it as one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[T], T]:
        """Says something to type checkers alone."""
        return lambda decorator: decorator


_set = object.__setattr__
_MISSING = dataclasses.MISSING


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen(cls: type[T]) -> type[T]:
    """The class as a frozen dataclass with slots, equal and hashed by its fields but for those of `compare=False`."""
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(made)
    compared = [one.name for one in fields if one.compare]
    made._compared = attrgetter(*compared) if compared else type
    made.__init__ = _initialiser(made, hasattr(cls, "__post_init__"))
    for method in SHARED:
        if method.__name__ not in vars(cls):
            setattr(made, method.__name__, method)
    found: type[T] = made
    return found


def picked(record: Any, names: str, **own: Any) -> dict[str, Any]:
    """Fields of a record as JSON has them: "gpus step_s=time.total" are gpus and, as step_s, the total of time.

    NumPy's numbers are plain ones, tuples lists, and None on the way is None; `own` are the names that say no field.
    """
    words = (word.partition("=") for word in names.split())
    return {key: own[key] if key in own else _plain(record, path or key) for key, _, path in words}


def _plain(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = None if record is None else getattr(record, name)
    return list(record) if isinstance(record, tuple) else record.item() if hasattr(record, "item") else record


def _initialiser(made: Any, more: bool) -> Callable[..., None]:
    """`__init__` with an argument per field, in their order; it calls `__post_init__` where there is `more` to do.

    Values go into their slots by the slots' own setters, which look for nothing.
    """
    fields = dataclasses.fields(made)
    inside: dict[str, Any] = {"_missing": _MISSING}
    for at, one in enumerate(fields):
        inside[f"set_{at}"], inside[f"make_{at}"] = getattr(made, one.name).__set__, one.default_factory
        inside[f"usual_{at}"] = one.default
    arguments = [one for one in fields if one.init]
    usual = tuple(one.default for one in arguments if _optional(one))
    code = _code(tuple((one.init or 2 * _optional(one), one.default_factory is not _MISSING) for one in fields), more)
    names = ("self", *(one.name for one in arguments))
    found = FunctionType(code.replace(co_varnames=names), inside, "__init__", usual)
    found.__qualname__ = f"{made.__qualname__}.__init__"
    return found


def _optional(field: dataclasses.Field[Any]) -> bool:
    return field.default is not _MISSING or field.default_factory is not _MISSING


@cache
def _code(fields: tuple[tuple[int, bool], ...], more: bool) -> CodeType:
    """The code of `__init__` of all records of such fields: 1 an argument, 2 a value of its own, 0 none; a factory.

    Compiling it takes longer than the rest of making a record: it is done once, and the arguments are renamed.
    """
    lines = []
    for at, (kind, factory) in enumerate(fields):
        value = f"a{at}" if kind == 1 else f"usual_{at}"
        if factory:
            value = f"make_{at}()" + f" if a{at} is _missing else a{at}" * (kind == 1)
        lines += [f" set_{at}(self, {value})"] * (kind > 0)
    lines += [" self.__post_init__()"] * more
    arguments = ", ".join(["self", *(f"a{at}" for at, (kind, _) in enumerate(fields) if kind == 1)])
    space: dict[str, Any] = {}
    exec(f"def __init__({arguments}):\n" + ("\n".join(lines) or " pass"), space)
    found: CodeType = space["__init__"].__code__
    return found


def __repr__(self: Any) -> str:  # noqa: N807
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{type(self).__qualname__}({shown})"


def __eq__(self: Any, other: object) -> Any:  # noqa: N807
    values = type(self)._compared
    return values(self) == values(other) if type(other) is type(self) else NotImplemented


def __hash__(self: Any) -> int:  # noqa: N807
    return hash(type(self)._compared(self))


def __setattr__(self: Any, name: str, value: object) -> None:  # noqa: N807
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def __delattr__(self: Any, name: str) -> None:  # noqa: N807
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def __getstate__(self: Any) -> list[Any]:  # noqa: N807
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def __setstate__(self: Any, state: list[Any]) -> None:  # noqa: N807
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        _set(self, one.name, value)


SHARED = (__repr__, __eq__, __hash__, __setattr__, __delattr__, __getstate__, __setstate__)
"""Methods that every record has, unless it has its own."""
