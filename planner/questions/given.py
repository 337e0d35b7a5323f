"""Options as Python has them, brought to what the command line takes: 4, [1, 2] and 0.08 are text there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache, wraps
from inspect import signature
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from planner.errors import PlannerError, suggest
from planner.units import tokens

P = ParamSpec("P")
T = TypeVar("T")

PINS = ("tp", "cp", "ep", "etp", "pp", "dp", "dp_replicate", "v", "zero", "sp", "head", "recompute_layers")
_OTHERS = {"quantize_experts": "bool", "imbalance": "float", "capacity_factor": "float"}
_OTHERS |= dict.fromkeys(("offload_layers", "images", "image_size"), "int")
ADAPTED = ("lora_targets", "base", "quantize_experts")
EXPERTS = ("recompute_modules", "dispatcher", "cuda_graphs", "imbalance", "capacity_factor")
AWAY, SEEING = ("offload_layers", "offload_modules"), ("images", "image_size", "tower")
"""Options of adapters and of what lies under them, of experts, of activations in host memory, of a vision tower."""

MORE = {n: _OTHERS.get(n, "str") for n in (*ADAPTED, *EXPERTS, *AWAY, *SEEING, *PINS, "expert_overlap")}
"""Kinds of the options that `ask` takes by their names alone."""


def pythons(**more: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function that resolves questions take options as Python has them; `more` as in `given`."""

    def decorated(verb: Callable[P, T]) -> Callable[P, T]:
        order = tuple(signature(verb).parameters)

        @wraps(verb)
        def asked(*words: P.args, **options: P.kwargs) -> T:
            named: Callable[..., T] = verb
            return named(**given(verb, {**dict(zip(order, words, strict=False)), **options}, more))

        return asked

    return decorated


def given(verb: Callable[..., Any], options: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, Any]:
    """The options of a function that resolves questions; `more` are the kinds of those that it takes by other ways.

    Without any, what the function does not name itself is left to what it hands them to.

    Raises:
        PlannerError: an option that is not there, or a value of another kind.
    """
    own, free, onward = _parameters(verb)
    kinds = {**own, **more}
    for name in () if onward and not more else sorted(options.keys() - kinds.keys()):
        near = suggest(name, sorted(kinds)) or sorted(kinds)
        raise PlannerError(f"there is no option {name!r:.40}", f"known: {', '.join(near)}")
    return {
        name: value if value is None and (name in free or name in more) else _value(name, value, kinds.get(name, ""))
        for name, value in options.items()
    }


@cache
def _parameters(verb: Callable[..., Any]) -> tuple[dict[str, str], frozenset[str], bool]:
    """Kinds of a function's options, those that have a default, and whether it takes others."""
    every = signature(verb).parameters
    own = {name: one for name, one in every.items() if one.kind is not one.VAR_KEYWORD}
    kinds = {name: str(one.annotation).partition(" ")[0] for name, one in own.items()}
    return kinds, frozenset(n for n, one in own.items() if one.default is not one.empty), len(own) < len(every)


def typed(options: Mapping[str, Any]) -> list[str]:
    """The same options as words of the command line."""
    words: list[str] = []
    for name, value in options.items():
        if name != "library" and value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


def _value(name: str, value: Any, kind: str) -> Any:
    """One value, of the kind that is written in the signature."""
    several = list(value) if isinstance(value, Collection) and not isinstance(value, str | Mapping) else None
    if kind == "Sequence[str]":
        return (value,) if several is None else tuple(map(str, several))
    if kind == "str" and several is not None:
        return ",".join(str(int(one) if isinstance(one, bool) else one) for one in several)
    if kind == "str" and isinstance(value, Real):
        number = float(value)
        return str(int(number) if number.is_integer() else number)
    if kind == "int" and isinstance(value, str):
        return tokens(value)
    fits, wanted = FIT.get(kind, ((object,), ""))
    if not isinstance(value, fits) or (kind == "int" and isinstance(value, bool)):
        raise PlannerError(f"{name} is {wanted}, not {value!r:.40}")
    return int(str(value)) if kind == "int" else value


FIT: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str, Path), "text"),
    "int": ((Integral,), "a whole number"),
    "bool": ((bool,), "True or False"),
    "float": ((Real,), "a number"),
}
"""Types that a kind of option may have, and how they are called."""
