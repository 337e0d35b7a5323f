"""Options as Python has them, brought to what the command line takes: 4, [1, 2] and 0.08 are text there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from planner.errors import PlannerError, suggest
from planner.units import tokens


def given(verb: Callable[..., Any], options: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, Any]:
    """The options of a function that resolves questions; `more` are the kinds of those that it takes by other ways.

    Raises:
        PlannerError: an option that is not there, or a value of another kind.
    """
    own = {name: one for name, one in signature(verb).parameters.items() if one.kind is not one.VAR_KEYWORD}
    kinds = {name: str(one.annotation).partition(" ")[0] for name, one in own.items()} | dict(more)
    for name in options.keys() - kinds.keys():
        near = suggest(name, sorted(kinds)) or sorted(kinds)
        raise PlannerError(f"there is no option {name!r:.40}", f"known: {', '.join(near)}")
    free = [name for name, one in own.items() if one.default is not one.empty]
    return {
        name: value if value is None and name in (*free, *more) else _value(name, value, kinds[name])
        for name, value in options.items()
    }


def typed(options: Mapping[str, Any]) -> list[str]:
    """The same options as words of the command line."""
    words: list[str] = []
    for name, value in options.items():
        if name != "library" and value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


def _value(name: str, value: Any, kind: str) -> Any:
    """One value, of the kind that is written in the signature."""
    if kind == "str" and isinstance(value, Collection) and not isinstance(value, str):
        return ",".join(str(int(one) if isinstance(one, bool) else one) for one in value)
    if kind == "str" and isinstance(value, int | float):
        return str(int(value) if isinstance(value, bool) else value)
    if kind == "int" and isinstance(value, str):
        return tokens(value)
    fit, wanted = FIT.get(kind, ((object,), ""))
    if not isinstance(value, fit) or (kind == "int" and isinstance(value, bool)):
        raise PlannerError(f"{name} is {wanted}, not {value!r:.40}")
    return value


FIT: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str, Path), "text"),
    "int": ((int,), "a whole number"),
    "bool": ((bool,), "True or False"),
    "float": ((int, float), "a number"),
}
"""Types that a kind of option may have, and how they are called."""
