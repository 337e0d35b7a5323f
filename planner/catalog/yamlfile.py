"""One YAML file in, one validated record out; every way in which the file can be wrong names file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from planner.catalog.textfile import decoded, read_bytes
from planner.errors import ProfileError, suggest
from planner.wording import DEEPEST, schema_problem, yaml_problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from planner.catalog.textfile import Traversable

R = TypeVar("R", bound=BaseModel)
Path = tuple["str | int", ...]
Lines = dict[Path, int]

LIMIT = 10**6
MOST_SHARED = 20_000
"""Values of a file with aliases, each counted as often as it is said."""

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_TAG = "tag:yaml.org,2002:"
_CONSTRUCT = {_TAG + kind: f"construct_yaml_{kind}" for kind in ("null", "bool", "int", "float")}


def read_profile(path: Traversable, record: type[R]) -> R:
    """The record written in one YAML file.

    Raises:
        ProfileError: the file cannot be read, is no plain YAML mapping, or breaks the schema.
    """
    value, lines = parse_yaml(read_text(path), str(path))
    return validate(value, record, str(path), lines)


def read_text(path: Traversable) -> str:
    """The text of a file of at most 1 MB of UTF-8.

    Raises:
        ProfileError: missing, unreadable, larger, or not UTF-8.
    """
    return decoded(read_raw(path), str(path))


def read_raw(path: Traversable) -> bytes:
    """The bytes of a file of at most 1 MB.

    Raises:
        ProfileError: missing, unreadable, larger.
    """
    return read_bytes(path, LIMIT, "a profile is a page of text")


def parse_yaml(text: str, where: str, shared: bool = False) -> tuple[dict[str, Any], Lines]:
    """One YAML mapping as plain values, and the line on which each key path stands.

    Tags, duplicate keys, several documents and nesting beyond 32 levels are refused, and, unless values may be
    `shared`, anchors and aliases; with them the file may say MOST_SHARED values in all.

    Raises:
        ProfileError: `where` and line, and what is wrong there.
    """
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ProfileError(f"{where}:{line}: the control character {found[0]!r} is not read", "save the file as text")
    try:
        return _Reader(text, where, shared).mapping()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, problem, hint = yaml_problem(text, mark.line if mark else 0)
        raise ProfileError(f"{where}:{line}: {problem}", hint) from None


@cache
def table(folder: str, name: str) -> dict[str, Any]:
    """A YAML file that comes with a room of the package, anchors allowed."""
    text = (files("planner") / folder / name).read_text(encoding="utf-8")
    return parse_yaml(text, name, shared=True)[0]


class _Reader:
    """Builds values straight from the parser's events, so that depth is checked before it is built."""

    def __init__(self, text: str, where: str, shared: bool) -> None:
        self.where, self.shared = where, shared
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0
        self.loader = _LOADER(text)
        self.lines: Lines = {}

    def mapping(self) -> tuple[dict[str, Any], Lines]:
        self._next()  # stream start
        if isinstance(self._next(), yaml.StreamEndEvent):
            raise ProfileError(f"{self.where}: empty file")
        top = self._next()
        if not isinstance(top, yaml.MappingStartEvent):
            raise self._error(top, "the file must be a mapping (key: value)")
        value = self._value(top, ())
        self._next()  # document end
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            raise self._error(event, "a second document; one file holds one profile")
        return value, self.lines

    def _next(self) -> Any:
        return self.loader.get_event()

    def _error(self, event: Any, problem: str) -> ProfileError:
        return ProfileError(f"{self.where}:{event.start_mark.line + 1}: {problem}")

    def _value(self, event: Any, path: Path) -> Any:
        self.lines.setdefault(path, event.start_mark.line + 1)
        self._check(event, path, self.shared)
        before, self.count = self.count, self.count + 1
        if isinstance(event, yaml.AliasEvent):
            return self._said_before(event)
        if isinstance(event, yaml.MappingStartEvent):
            value: Any = self._merged(dict(self._items(path)), event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = list(self._elements(path))
        else:
            value = self._scalar(event)
        if event.anchor:
            self.anchors[event.anchor] = value, self.count - before
        return value

    def _said_before(self, event: Any) -> Any:
        """The value of an alias, which counts as often as it is said."""
        if event.anchor not in self.anchors:
            raise self._error(event, f"no anchor &{event.anchor:.60} above")
        value, count = self.anchors[event.anchor]
        self.count += count
        if self.count > MOST_SHARED:
            raise self._error(event, f"anchors (&) and aliases (*) make more than {MOST_SHARED:,} values")
        return value

    def _merged(self, value: dict[str, Any], event: Any) -> dict[str, Any]:
        """A mapping over those that its key `<<` names, the first of them first."""
        if not self.shared or "<<" not in value:
            return value
        below = value.pop("<<")
        parts = below if isinstance(below, list) else [below]
        if not all(isinstance(part, dict) for part in parts):
            raise self._error(event, "<< wants a mapping, or a list of them")
        return {key: inner for part in (*reversed(parts), value) for key, inner in part.items()}

    def _check(self, event: Any, path: Path, shared: bool = False) -> None:
        if isinstance(event, yaml.AliasEvent) and shared:
            return
        if isinstance(event, yaml.AliasEvent) or (event.anchor and not shared):
            raise self._error(event, "anchors (&) and aliases (*) are not read; write the value out")
        if event.tag:
            raise self._error(event, f"the tag {event.tag!r:.60} is not read; write a plain value")
        if len(path) > DEEPEST:
            raise self._error(event, f"nested more than {DEEPEST} levels deep")

    def _items(self, path: Path) -> Iterator[tuple[str, Any]]:
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            inner = (*path, self._key(event, path))
            if inner in self.lines:
                raise self._error(event, f"{dotted(inner)}: written twice")
            self.lines[inner] = event.start_mark.line + 1
            yield str(inner[-1]), self._value(self._next(), inner)

    def _key(self, event: Any, path: Path) -> str:
        self._check(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, "a key must be a word")
        return str(event.value)

    def _elements(self, path: Path) -> Iterator[Any]:
        index = 0
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            yield self._value(event, (*path, index))
            index += 1

    def _scalar(self, event: Any) -> Any:
        tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in _CONSTRUCT:
            return event.value  # a date stays text too
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            return getattr(self.loader, _CONSTRUCT[tag])(node)
        except (ValueError, OverflowError):
            raise self._error(event, f"{event.value!r:.60} is not a number") from None


def validate(value: dict[str, Any], record: type[R], where: str, lines: Lines) -> R:
    """The mapping as a record.

    Raises:
        ProfileError: FILE:LINE: key.path: the first problem, and how many there are besides.
    """
    try:
        return record.model_validate(value)
    except ValidationError as error:
        raise _first_problem(error, record, where, lines) from None


def _first_problem(error: ValidationError, record: type[BaseModel], where: str, lines: Lines) -> ProfileError:
    everything = error.errors(include_url=False)
    problems = [p for p in everything if not _other_branch(p)] or everything
    problems.sort(key=lambda p: p["type"] == "missing")  # a mistyped key explains why the right one is missing
    path = _key_path(problems[0], lines)
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), lines.get((), 1))
    key = f"{dotted(path)}: " if path else ""
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ProfileError(f"{where}:{line}: {key}{schema_problem(problems[0])}{others}", _hint(problems[0], path, record))


def _other_branch(problem: ErrorDetails) -> bool:
    """In "a name or a mapping", the complaint of the branch that was not meant."""
    as_name = problem["type"] == "string_type" and isinstance(problem["input"], dict)
    return as_name or (problem["type"] == "model_type" and isinstance(problem["input"], str))


def _key_path(problem: ErrorDetails, lines: Lines) -> Path:
    """Where the problem is in the file; pydantic's location also names branches of unions."""
    path: Path = ()
    for i, part in enumerate(problem["loc"]):
        absent = problem["type"] == "missing" and i == len(problem["loc"]) - 1
        if absent or (*path, part) in lines:
            path = (*path, part)
    return path


def _hint(problem: ErrorDetails, path: Path, record: type[BaseModel]) -> str | tuple[()]:
    owner = _record_at(record, path[:-1]) if path else None
    if problem["type"] != "extra_forbidden" or owner is None:
        return ()
    near = suggest(str(path[-1])[:80], list(owner.model_fields), 1)
    return f"did you mean: {near[0]} ?" if near else "known keys: " + ", ".join(owner.model_fields)


def _record_at(record: type[BaseModel], path: Path) -> type[BaseModel] | None:
    found: type[BaseModel] | None = record
    for part in path:
        if found is None or isinstance(part, int):
            continue
        field = found.model_fields.get(part)
        found = next(_records(field.annotation), None) if field else None
    return found


def _records(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records(inner)


def dotted(path: Path) -> str:
    """A key path as it is printed: `moe.experts`, `aliases[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")[:200]
