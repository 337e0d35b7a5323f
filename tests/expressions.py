"""Expressions of packaged tables as a type checker would read them: what they may be made of, and what names are."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from planner.catalog.expressions import PLAIN

MADE_OF = (
    *(ast.Expression, ast.BoolOp, ast.boolop, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop, ast.Compare),
    *(ast.cmpop, ast.IfExp, ast.Name, ast.expr_context, ast.Constant, ast.Attribute, ast.Subscript, ast.Call),
    *(ast.Tuple, ast.List, ast.Set, ast.Dict, ast.DictComp, ast.comprehension, ast.JoinedStr, ast.FormattedValue),
    ast.Starred,
)

METHODS = ("get", "intersection", "issuperset", "replace", "startswith", "union")
"""Of values that no record describes: text, dictionaries, sets."""

Known = Callable[[str], Any]
"""The type of a name, Any where nothing says.

Raises:
    LookupError: nobody has the name.
"""


def refused(text: str, known: Known, options: Iterable[str] = ()) -> list[str]:
    """What is wrong with an expression; `options`: what text in the call of `has` and `whole` may be."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        return [f"{text}: {error}"]
    strange = [type(node).__name__ for node in ast.walk(tree) if not isinstance(node, MADE_OF)]
    reader = _Reader(known, frozenset(options))
    reader.kind(tree.body)
    return [f"{text}: {said}" for said in (*strange, *reader.wrong)]


class _Reader:
    def __init__(self, known: Known, options: frozenset[str]) -> None:
        self.known, self.options = known, options
        self.bound: set[str] = set()
        self.wrong: list[str] = []

    def kind(self, node: ast.AST) -> Any:
        """The type of a part, every part of which is read on the way."""
        method = getattr(self, f"_{type(node).__name__.lower()}", self._rest)
        return method(node)

    def _rest(self, node: ast.AST) -> Any:
        for part in ast.iter_child_nodes(node):
            self.kind(part)
        return Any

    def _constant(self, node: ast.Constant) -> Any:
        return type(node.value)

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.bound or node.id in PLAIN:
            return Any
        try:
            return self.known(node.id)
        except LookupError:
            self.wrong.append(f"nobody has {node.id}")
            return Any

    def _attribute(self, node: ast.Attribute) -> Any:
        try:
            return member(self.kind(node.value), node.attr)
        except LookupError as error:
            self.wrong.append(str(error))
            return Any

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name | ast.Attribute) or node.keywords:
            self.wrong.append("a call of something without a name, or with names")
        asked = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if self.options and asked in ("has", "text", "texts", "whole"):
            self.wrong += [f"no option --{text}" for text in texts if text not in self.options]
        found = self._rest(node)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Dict):
            self._among(self.kind(node.args[0]), node.func.value.keys)
        return found

    def _subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Dict):
            self._among(self.kind(node.slice), node.value.keys)
        return self._rest(node)

    def _ifexp(self, node: ast.IfExp) -> Any:
        self.kind(node.test)
        found = self.kind(node.body), self.kind(node.orelse)
        return found[0] if found[0] == found[1] else Any

    def _compare(self, node: ast.Compare) -> Any:
        left = self.kind(node.left)
        for right in node.comparators:
            self.kind(right)
            self._among(left, getattr(right, "elts", [right]))
        return bool

    def _dictcomp(self, node: ast.DictComp) -> Any:
        self.bound |= {
            part.id for one in node.generators for part in ast.walk(one.target) if isinstance(part, ast.Name)
        }
        return self._rest(node)

    def _among(self, kind: Any, others: Iterable[ast.AST | None]) -> None:
        """Text that stands beside a value of few words is one of these."""
        words = _words(kind)
        texts = [one.value for one in others if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        self.wrong += [f"{text!r} is none of {', '.join(words)}" for text in texts if words and text not in words]


def _arms(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, UnionType):
        return [arm for one in get_args(hint) for arm in _arms(one)]
    return [] if hint is NoneType else [hint]


def _words(hint: Any) -> tuple[str, ...]:
    """What a value may be, where that is a word of a list; nothing otherwise."""
    arms = _arms(hint)
    return tuple(word for arm in arms for word in get_args(arm)) if all(get_origin(a) is Literal for a in arms) else ()


def member(hint: Any, name: str) -> Any:
    """The type of an attribute, or of what a method returns.

    Raises:
        LookupError: none of the types that a value may have has it, or it is not for others.
    """
    if name.startswith("_"):
        raise LookupError(f"{name} is not for tables")
    arms = [str if get_origin(arm) is Literal else get_origin(arm) or arm for arm in _arms(hint)]
    if Any in arms or not all(isinstance(arm, type) for arm in arms):
        if name not in METHODS:
            raise LookupError(f"{name} of something of unknown type")
        return Any
    found = [one for arm in arms for one in _own(arm, name)]
    if not found:
        raise LookupError(f"{' or '.join(arm.__name__ for arm in arms)} has no {name}")
    return found[0]


def _own(kind: type, name: str) -> Iterator[Any]:
    hints = fields(kind)
    if name in hints:
        yield hints[name]
    elif not kind.__module__.startswith("planner."):
        yield from [Any] * (name in METHODS and hasattr(kind, name))
    elif (found := inspect.getattr_static(kind, name, None)) is not None:
        function = found.fget if isinstance(found, property) else found
        function = function.func if isinstance(function, cached_property) else function
        yield get_type_hints(function).get("return", Any) if inspect.isfunction(function) else Any


@cache
def fields(kind: type) -> dict[str, Any]:
    """Names and types of a record's fields."""
    return get_type_hints(kind) if kind.__module__.startswith("planner.") else {}
