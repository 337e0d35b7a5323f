"""Numbers that know how they were computed: an explanation is what was evaluated, and nothing is written twice.

Cost functions take numbers or arrays; inside `tracing()` they are given `Traced` numbers, and the same code writes down
the formula of every result that `@formula` names. Of a choice (`np.where`) only the branch that was taken is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

WRITTEN = {
    "add": ("{} + {}", 1, (1, 1)),
    "subtract": ("{} - {}", 1, (1, 2)),
    "multiply": ("{} * {}", 2, (2, 2)),
    "divide": ("{} / {}", 2, (2, 3)),
    "negative": ("-{}", 2, (3,)),
    "raised": ("{}**{}", 4, (5, 5)),
    "power": ("{}**{}", 4, (5, 5)),
    "same": ("{}", 5, (0,)),
    "smooth_max": ("({}**4 + {}**4)**0.25", 4, (5, 5)),
    "maximum": ("max({}, {})", 5, (0, 0)),
    "minimum": ("min({}, {})", 5, (0, 0)),
    "floor": ("floor({})", 5, (0,)),
    "ceil": ("ceil({})", 5, (0,)),
    "sqrt": ("sqrt({})", 5, (0,)),
    "log2": ("log2({})", 5, (0,)),
}
"""Operation: how it is written, how tightly that binds, and how tightly what stands in it must."""

TRUST = ("exact", "datasheet", "measured", "assumed")
"""From what is certain to what is not."""

NAMED = ("fact", "argument", "result")
"""Kinds of numbers that formulas show by name; a result has a formula of its own."""

UNITS = dict.fromkeys(
    ("dense", "expert", "adapters", "largest", "trained", "trained_expert", "count", "narrow"), "parameters"
)
UNITS |= dict.fromkeys(("whole", "boundary", "working", "late", "scores", "logits", "block"), "bytes")
UNITS |= dict.fromkeys(("bytes", "moved", "sent"), "bytes")
UNITS |= dict.fromkeys(("latency", "trip", "climb", "seconds", "forward", "backward", "traffic", "compute"), "s")
UNITS |= dict.fromkeys(("rate", "inside_rate"), "bytes/s")
UNITS |= {"square_flops": "FLOP"}
"""Units of what the code calls so; all else is a number."""


ZERO: float = np.float64(0.0)


@dataclass(slots=True, eq=False)
class Origin:
    """Where a number comes from.

    Attributes:
        kind: an operation of `WRITTEN`, or one of `NAMED`; of: what it was applied to, of a result its formula.
        name, scope: of a named number, and what that lies in; unit, source: of a named number.
        trust: of a named number: of `TRUST`, that of the least certain fact below it.
        named: the named numbers in the formula, once they are known.
        general: the name is that of a cost function, which does not know what it prices.
    """

    kind: str
    of: tuple[float, ...] = ()
    name: str = ""
    scope: str = ""
    unit: str = "1"
    source: str = ""
    trust: str = "exact"
    general: bool = False
    named: tuple[Traced, ...] | None = None


class Traced(np.float64):
    """A number with its origin; what is computed from it is traced, too.

    It is NumPy's kind of float, so that NumPy's own scalars leave the operation to it, whatever their version.
    """

    origin: Origin

    def __new__(cls, value: float, origin: Origin) -> Traced:
        """The number."""
        made: Traced = super().__new__(cls, value)
        made.origin = origin
        return made

    def __getitem__(self, index: tuple[()]) -> Traced:
        return self

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions of numbers, traced where they are known; arrays are not traced."""
        plain = getattr(ufunc, method)(*map(untraced, inputs), **kwargs)
        known = ufunc.__name__ in WRITTEN and np.ndim(plain) == 0
        return traced(ufunc.__name__, float(plain), *inputs) if known else plain

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """`np.where` takes the branch that holds; anything else sees plain numbers."""
        if function is np.where and np.ndim(args[0]) == 0:
            taken = args[1] if args[0] else args[2]
            return taken if isinstance(taken, Traced) else np.float64(taken)
        return function(*map(untraced, args), **kwargs)


def untraced(value: Any) -> Any:
    """The plain number."""
    return float(value) if isinstance(value, Traced) else value


def traced(kind: str, value: float, *args: Any) -> float:
    """A number with its origin, without zeros that are added and ones that are multiplied; a certain zero is plain."""
    of: tuple[float, ...] = tuple(one if isinstance(one, Traced) else np.float64(one) for one in args)
    zero = [_certain(one, 0.0) for one in of]
    if (kind == "multiply" and any(zero)) or (kind == "divide" and (zero[0] or of[1] == np.inf)):
        return ZERO
    if kind in ("add", "subtract") and zero[-1]:
        return of[0]
    if kind == "add" and zero[0]:
        return of[1]
    if kind in ("multiply", "divide") and not isinstance(of[1], Traced) and of[1] == 1.0:
        return of[0]
    if kind == "multiply" and not isinstance(of[0], Traced) and of[0] == 1.0:
        return of[1]
    if kind == "subtract" and zero[0]:
        return Traced(value, Origin("negative", of[1:]))
    if (kind in ("maximum", "minimum") and _same(*of)) or (kind == "minimum" and of[1] == np.inf):
        return of[0]
    if kind == "maximum" and value == 0.0 and any(zero):
        return ZERO if any(_negative(one) for one in of) else Traced(value, Origin(kind, of))
    return Traced(value, Origin(kind, of))


def _certain(value: float, other: float) -> bool:
    """A constant or fact of that value."""
    return value == other and (not isinstance(value, Traced) or value.origin.kind == "fact")


def _negative(value: float) -> bool:
    return isinstance(value, Traced) and value.origin.kind == "negative"


def _same(one: float, other: float) -> bool:
    """Computed in the same way from the same numbers."""
    if one is other or not (isinstance(one, Traced) and isinstance(other, Traced)):
        return one == other
    here, there = one.origin, other.origin
    if here.kind != there.kind or here.kind in NAMED or one != other:
        return False
    return all(map(_same, here.of, there.of))


def _operator(kind: str, swapped: bool) -> Callable[[Traced, Any], Any]:
    ufunc = getattr(np, kind)

    def apply(self: Traced, other: Any) -> Any:
        if not isinstance(other, int | float | np.generic):
            return NotImplemented
        pair = (other, self) if swapped else (self, other)
        return traced(kind, float(ufunc(*map(untraced, pair))), *pair)

    return apply


for _name, _kind in {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide"}.items():
    setattr(Traced, f"__{_name}__", _operator(_kind, False))
    setattr(Traced, f"__r{_name}__", _operator(_kind, True))


@dataclass(slots=True)
class Trace:
    """What is being explained: the results so far, and inside which named functions the next one is computed."""

    results: list[Traced] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)

    def result(self, value: Any, name: str, unit: str, source: str, general: bool = False) -> Any:
        """A function's result by its name; of a record, every field by its own behind that; of a pair, "one, other"."""
        if isinstance(value, Traced):
            return self._named(value, name, unit, source, general)
        if type(value) is tuple and value:
            names = name.split(", ") if ", " in name else [name] * len(value)
            return tuple(self.result(one, own, unit, source, general) for one, own in zip(value, names, strict=True))
        if is_dataclass(value) and not isinstance(value, type):
            changed = {
                f.name: self.result(getattr(value, f.name), f"{name} {f.name}".strip(), unit, source, general)
                for f in fields(value)
            }
            return replace(value, **changed)
        return value

    def _named(self, value: Traced, name: str, unit: str, source: str, general: bool) -> Traced:
        origin = value.origin
        if origin.general:
            origin.name, origin.scope, origin.general = name, self.scope, general
        elif origin.kind not in NAMED:
            unit = unit or UNITS.get(name.split()[-1], "1")
            scope = self.scope or _shared(value)
            value = Traced(value, Origin("result", (value,), name, scope, unit, source, _least(value), general))
            self.results.append(value)
        return value

    @property
    def scope(self) -> str:
        """Names of the functions around, outermost first."""
        return " ".join(self.scopes)


def _shared(value: Traced) -> str:
    """The scope in which everything lies that a number is computed from."""
    scopes = {one.origin.scope for one in named_in(value) if one.origin.kind == "result"}
    return scopes.pop() if len(scopes) == 1 else ""


def argument(value: Any, name: str) -> Any:
    """An argument of a named function by its name there, if it was computed of facts; of a record, every field."""
    if isinstance(value, Traced) and value.origin.kind not in NAMED:
        if any(one.origin.kind == "result" for one in named_in(value)):
            return value
        return Traced(value, Origin("argument", (value,), name, "", UNITS.get(name, "1"), "", _least(value)))
    if is_dataclass(value) and not isinstance(value, type):
        now = {f.name: getattr(value, f.name) for f in fields(value)}
        then = {key: argument(one, key) for key, one in now.items()}
        return replace(value, **then) if any(then[key] is not now[key] for key in now) else value
    if type(value) is tuple and any(is_dataclass(one) for one in value):
        return tuple(argument(one, name) for one in value)
    return value


_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def tracing() -> Iterator[Trace]:
    """Named functions write down their formulas inside."""
    token = _TRACE.set(found := Trace())
    try:
        yield found
    finally:
        _TRACE.reset(token)


def formula(
    name: str | Callable[..., str], source: str | Callable[..., str] = "", unit: str = "", scope: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Explanations show what a function returns under a name, with its source; outside of them it is as it was.

    Args:
        name, source: of the result, or a function of the same arguments that gives it; source "": the function.
        unit: of all results; "": by their names, as in `UNITS`.
        scope: results inside have its name in front of theirs.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]

        @wraps(function)
        def explained(*args: P.args, **kwargs: P.kwargs) -> T:
            trace = _TRACE.get()
            if trace is None:
                return function(*args, **kwargs)
            said = name if isinstance(name, str) else name(*args, **kwargs)
            cited = source if isinstance(source, str) else source(*args, **kwargs)
            trace.scopes += [said] * scope
            inside: Any = function
            result = inside(*map(argument, args, names), **{key: argument(one, key) for key, one in kwargs.items()})
            if isinstance(result, float) and result and not isinstance(result, Traced):
                result = fact(result, said, unit, cited)
            general = function.__module__.startswith("planner.cost")
            found: T = trace.result(result, "" if scope else said, unit, cited or function.__module__, general)
            del trace.scopes[len(trace.scopes) - scope :]
            return found

        return explained

    return decorate


def primitive(function: Callable[P, T]) -> Callable[P, T]:
    """A function that formulas write as `WRITTEN` says instead of taking it apart."""

    @wraps(function)
    def explained(*args: P.args, **kwargs: P.kwargs) -> T:
        if _TRACE.get() is None or not any(isinstance(one, Traced) for one in args):
            return function(*args, **kwargs)
        plain: Any = function
        result: Any = traced(function.__name__, float(plain(*map(untraced, args))), *args)
        found: T = result
        return found

    return explained


def fact(value: float, name: str, unit: str = "1", source: str = "", trust: str = "exact") -> Traced:
    """A number that is not computed."""
    return Traced(value, Origin("fact", (), name, "", unit, source, trust))


def written(value: float, names: Callable[[Traced], str], inside: bool = False) -> str:
    """The formula of a number, or the name of a named one where it stands in another's."""
    return _written(value, names, 0) if inside else _written(_formula(value), names, 0)


def _formula(value: float) -> float:
    return value.origin.of[0] if isinstance(value, Traced) and value.origin.kind == "result" else value


def _written(value: float, names: Callable[[Traced], str], binds: int) -> str:
    if not isinstance(value, Traced):
        text = repr(float(value)).removesuffix(".0")
        return f"({text})" if value < 0 and binds else text
    origin = value.origin
    if origin.kind in NAMED:
        return names(value)
    pattern, own, needs = WRITTEN[origin.kind]
    parts = (_written(one, names, need) for one, need in zip(origin.of, needs, strict=True))
    text = pattern.format(*parts)
    return f"({text})" if own < binds else text


def named_in(value: float) -> tuple[Traced, ...]:
    """The named numbers of a number's formula, in the order in which it is written, each once."""
    inside = _formula(value)
    return _named(inside) if isinstance(inside, Traced) else ()


def _named(value: Traced) -> tuple[Traced, ...]:
    origin = value.origin
    if origin.kind in NAMED:
        return (value,)
    if origin.named is None:
        parts = (part for one in origin.of if isinstance(one, Traced) for part in _named(one))
        origin.named = tuple({id(part): part for part in parts}.values())
    return origin.named


def _least(value: Traced) -> str:
    """Trust in what is computed: that in the least certain number of its formula."""
    return max((one.origin.trust for one in _named(value)), key=TRUST.index, default="exact")
