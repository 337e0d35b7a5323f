"""JSON Schemas of the answers, made of planner/documents."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Collection, Iterator
from functools import cache
from inspect import cleandoc
from textwrap import wrap
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as bounds
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import NotRequired, get_original_bases, get_type_hints, is_typeddict

from planner.documents.checks import Check, Diff
from planner.documents.scores import Calibration, ServingValidation, Validation
from planner.documents.serving import Serving, ServingExplanation
from planner.documents.sizing import Curve, Size, SizeServing
from planner.documents.sweeps import OPTIONS, Sweep
from planner.documents.timelines import Timelines
from planner.documents.training import Comparison, Explanation, Recommendation
from planner.documents.values import Among, Amount, As, Parts, Pattern

DRAFT = "https://json-schema.org/draft/2020-12/schema"
RECORDS: tuple[Any, ...] = (
    *(Recommendation, Explanation, Comparison, Curve, Size, Serving, ServingExplanation, SizeServing, Check, Diff),
    *(Sweep, Timelines, Validation, ServingValidation, Calibration),
)
PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
BOUNDS = {
    bounds.Ge: ("minimum", "ge"),
    bounds.Gt: ("exclusiveMinimum", "gt"),
    bounds.Le: ("maximum", "le"),
    bounds.Lt: ("exclusiveMaximum", "lt"),
    bounds.MinLen: ("minItems", "min_length"),
}

Schema = dict[str, Any]


@cache
def schemas() -> dict[str, Schema]:
    """Every answer's by the name of its file."""
    return {file_of(record): answer(record) for record in RECORDS}


def file_of(record: Any) -> str:
    """ "recommendation-1" for planner.recommendation/1."""
    (name,) = get_args(hints(record)["schema"])
    return str(name).removeprefix("planner.").replace("/", "-")


def answer(record: Any) -> Schema:
    """The schema of an answer; records inside it are definitions, once each."""
    known: dict[str, Schema] = {}
    found = _record(record, known)
    title = found.pop("description")
    return {"$schema": DRAFT, "title": title, "description": WORDS, **found} | ({"$defs": known} if known else {})


WORDS = "SI units, named in the keys; money in US dollars."


def _of(hint: Any, known: dict[str, Schema]) -> Schema:
    """The schema of a type."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if hint is Any:
        return {}
    if origin is Annotated:
        return _annotated(inner[0], inner[1:], known)
    if origin is NotRequired:
        return _of(inner[0], known)
    if origin is Literal:
        return {"const": inner[0]} if len(inner) == 1 else {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return _either([_of(one, known) for one in inner])
    if origin in (list, tuple):
        return {"type": "array", "items": _of(inner[0], known)}
    if origin is dict:
        values = _of(inner[1], known)
        return {"type": "object"} | ({"additionalProperties": values} if values else {})
    name = hint.__name__
    if name not in known:
        known[name] = {}
        known[name] |= _record(hint, known)
    assert known[name].get("properties", {}).keys() in (set(), set(hints(hint))), f"two records of the name {name}"
    return {"$ref": f"#/$defs/{name}"}


def _annotated(hint: Any, said: tuple[Any, ...], known: dict[str, Schema]) -> Schema:
    found = _of(hint, known)
    for one in (bound for part in said for bound in (part.metadata if isinstance(part, FieldInfo) else [part])):
        if isinstance(one, As):
            found = _of(one.kind, known)
        elif isinstance(one, Among):
            found = {"enum": list(one.values)}
        elif isinstance(one, Parts):
            found = _object({name: _of(Amount, known) for name in one.names})
        elif isinstance(one, Pattern):
            found = found | {"pattern": one.pattern}
        elif type(one) in BOUNDS:
            key, name = BOUNDS[type(one)]
            found = found | {key: getattr(one, name)}
    return found


def _either(forms: list[Schema]) -> Schema:
    """One of several; null goes into a type or a list of values."""
    others = [form for form in forms if form != {"type": "null"}]
    if len(others) == 1 and len(forms) == 2 and "type" in others[0]:
        return others[0] | {"type": [others[0]["type"], "null"]}
    if len(others) == 1 and len(forms) == 2 and "enum" in others[0]:
        return {"enum": [*others[0]["enum"], None]}
    return {"anyOf": forms}


def _record(record: Any, known: dict[str, Schema]) -> Schema:
    """The schema of a record: all keys and no others."""
    about, said = described(record)
    fields = hints(record)
    each = {name: _of(hint, known) | _about(said.get(name)) for name, hint in fields.items()}
    optional = getattr(record, "__optional_keys__", ())
    missing = [name for name, hint in fields.items() if name in optional or get_origin(hint) is NotRequired]
    if record is Sweep:
        each, missing = {name: _of(hint, known) for name, hint in OPTIONS.items()} | each, [*OPTIONS]
    return {"description": about} | _object(each, missing)


def _about(said: str | None) -> Schema:
    return {"description": said} if said else {}


def _object(each: dict[str, Schema], missing: Collection[str] = ()) -> Schema:
    sure = [name for name in each if name not in missing]
    return {"type": "object", "additionalProperties": False, "required": sure, "properties": each}


def hints(record: Any) -> dict[str, Any]:
    """Fields with their types."""
    found = get_type_hints(record, include_extras=True)
    if issubclass(record, BaseModel):
        return {name: Annotated[found[name], info] for name, info in record.model_fields.items()}
    return found


def described(record: Any) -> tuple[str, dict[str, str]]:
    """What a record is, and what its fields are where `Attributes:` of its docstring or of what it extends says so."""
    said: dict[str, str] = {}
    for base in get_original_bases(record):
        extended = is_typeddict(base) or (isinstance(base, type) and issubclass(base, BaseModel))
        said |= described(base)[1] if extended and base is not BaseModel else {}
    about, _, fields = cleandoc(record.__doc__ or "").partition("\n\nAttributes:\n")
    return _one(about.split("\n\n")[0]), said | dict(_fields(fields, list(hints(record))))


def _fields(text: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """ "a, b: this; c: that" for each name."""
    one = "|".join(names)
    pieces = re.split(rf"(?:^ *|; )((?:{one})(?:, (?:{one}))*): ", text, flags=re.MULTILINE)
    for found, said in zip(pieces[1::2], pieces[2::2], strict=True):
        yield from ((name, _one(said)) for name in found.split(", "))


def _one(said: str) -> str:
    """On one line, null as JSON has it."""
    return re.sub(r"\bNone\b", "null", " ".join(said.split())).rstrip(".")


def text(value: Any, room: int = 120, indent: str = "") -> str:
    """JSON in lines as long as there is room."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) < room or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        heads = [f"{inner}{json.dumps(key)}: " for key in value]
        lines = [head + text(one, 120 - len(head), inner) for head, one in zip(heads, value.values(), strict=True)]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if any(isinstance(one, dict | list) for one in value):
        return "[\n" + ",\n".join(inner + text(one, 120 - len(inner), inner) for one in value) + f"\n{indent}]"
    lines = wrap(", ".join(map(json.dumps, value)), 119 - len(inner), break_on_hyphens=False)
    return "[\n" + "".join(f"{inner}{line}\n" for line in lines) + f"{indent}]"
