"""Every key of a JSON schema, flat: `plans[].tp` is an integer. What pages list and what versions promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


@dataclass(frozen=True)
class Key:
    """One key. `sure`: every object of that place has it, in all forms; values: the only ones it takes, if listed."""

    path: str
    types: frozenset[str]
    sure: bool
    values: tuple[Any, ...] = ()

    @property
    def line(self) -> str:
        """As promises are kept on file: `run?: object`."""
        return f"{self.path}{'' if self.sure else '?'}: {' | '.join(sorted(self.types))}"


def keys(schema: dict[str, Any]) -> dict[str, Key]:
    """All keys by path, in the schema's order."""
    return {key.path: key for key in _object(schema, schema, "", ())}


def _object(root: dict[str, Any], found: dict[str, Any], at: str, seen: tuple[str, ...]) -> Iterator[Key]:
    forms = list(_forms(root, found))
    everywhere = [set(one.get("required", ())) for one in forms if "properties" in one]
    sure = set.intersection(*everywhere) if everywhere else set()
    for one in forms:
        inner = dict(one.get("properties", {}))
        if isinstance(one.get("additionalProperties"), dict):
            inner["*"] = one["additionalProperties"]
        for name, value in inner.items():
            yield from _key(root, value, f"{at}.{name}".lstrip("."), name in sure or name == "*", seen)


def _key(root: dict[str, Any], value: Any, path: str, sure: bool, seen: tuple[str, ...]) -> Iterator[Key]:
    reference = value.get("$ref", "") if isinstance(value, dict) else ""
    forms = list(_forms(root, value))
    types = frozenset(kind for form in forms for kind in _types(form))
    values = tuple(v for form in forms for v in (form.get("enum") or ([form["const"]] if "const" in form else ())))
    yield Key(path, types, sure, values)
    if reference and reference in seen:
        return
    inside = (*seen, reference) if reference else seen
    yield from _object(root, value, path, inside)
    for form in forms:
        if "items" in form:
            yield from _element(root, form["items"], f"{path}[]", inside)


def _element(root: dict[str, Any], item: Any, path: str, seen: tuple[str, ...]) -> Iterator[Key]:
    if any("properties" not in form for form in _forms(root, item)):
        yield from _key(root, item, path, True, seen)
    else:
        yield from _object(root, item, path, seen)


def _forms(root: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    """A schema and what it refers to, its alternatives one by one."""
    if value is True:
        value = {}
    if "$ref" in value:
        yield from _forms(root, _at(root, value["$ref"]))
    elif alternatives := value.get("anyOf") or value.get("oneOf"):
        for one in alternatives:
            yield from _forms(root, one)
        if "properties" in value:
            yield {name: part for name, part in value.items() if name not in ("anyOf", "oneOf")}
    else:
        yield value


def _at(root: dict[str, Any], pointer: str) -> Any:
    found: Any = root
    for part in pointer.removeprefix("#/").split("/"):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def _types(form: dict[str, Any]) -> list[str]:
    if "type" in form:
        return [form["type"]] if isinstance(form["type"], str) else list(form["type"])
    values = form.get("enum") or ([form["const"]] if "const" in form else [])
    return sorted({JSON_TYPES[type(value)] for value in values}) or ["any"]
