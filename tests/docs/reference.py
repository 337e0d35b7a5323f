"""Reference pages out of the code: commands, Python, schemas, topics."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Container, Iterator
from functools import cached_property
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

import planner
from planner.cli.app import app
from planner.cli.commands import HOMES, register
from planner.report.grid import prose
from planner.report.topics import TOPICS
from tests.docs.markdown import item, paragraph
from tests.docs.schemas import Schema
from tests.docs.schemas import schemas as made


def commands() -> str:
    """Every command with all its options, as `-h` groups them."""
    register(app, [])
    found = {info.name: info.callback for info in app.registered_commands}
    text = "# Commands\n\n" + paragraph(
        "What `planner COMMAND -h` prints. Every command takes `--debug`; exit codes and what `--gpus` takes are "
        "[topics](topics.md)."
    )
    parts = (f"## {name}\n\n{''.join(_command(name, found[name]))}" for name in HOMES)
    return (text + "".join(parts)).rstrip("\n") + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    yield from map(paragraph, inspect.cleandoc(command.__doc__ or "").split("\n\n"))
    hints = get_type_hints(command, include_extras=True)
    found = [(one, *_declared(hints[one.name])) for one in inspect.signature(command).parameters.values()]
    named = [(_spelled(one, info), info) for one, info, _ in found if isinstance(info, ArgumentInfo)]
    yield f"`planner {' '.join([name, *(word for word, _ in named)])}`\n\n"
    yield "".join(item(f"`{word}`: {info.help or ''}") for word, info in named) + ("\n" if named else "")
    options = [one for one in found if isinstance(one[1], OptionInfo) and not one[1].hidden]
    for panel in dict.fromkeys(info.rich_help_panel or "Options" for _, info, _ in options):
        rows = (_option(*one) for one in options if (one[1].rich_help_panel or "Options") == panel)
        yield f"{panel}:\n\n{''.join(rows)}\n"


def _declared(hint: Any) -> tuple[Any, Any]:
    """What typer is told of a parameter, and the type of its values."""
    info = next(one for one in get_args(hint) if isinstance(one, OptionInfo | ArgumentInfo))
    kinds = [kind for kind in (get_args(hint)[0], *get_args(get_args(hint)[0])) if isinstance(kind, type)]
    return info, kinds[0] if kinds else str


def _spelled(one: inspect.Parameter, info: ArgumentInfo) -> str:
    return info.metavar or one.name.upper()


WORDS = {int: " N", bool: "", Path: " FILE"}


def _option(one: inspect.Parameter, info: OptionInfo, kind: type) -> str:
    own = f"--{one.name.replace('_', '-')}" if info.default is ... else info.default  # the first name is no default
    names = ", ".join(f"`{name}`" for name in (own, *(info.param_decls or ())))
    value = f" {info.metavar}" if info.metavar else WORDS.get(kind, " TEXT")
    known = "" if one.default in (None, False, "", one.empty) else f" (default: {one.default})"
    said = info.help or ""
    return item(
        f"{names}{value}: {said}{'; required' if one.default is one.empty else '' if 'default' in said else known}"
    )


def python() -> str:
    """The public names."""
    text = "# Python\n\n" + paragraph(
        "All of `planner`'s public names. Other modules are the planner's own and change without notice. Answers have "
        "the keys and units of the JSON ones ([schemas](../schemas/README.md)); mistakes raise `PlannerError`. "
        "[An example notebook](../examples/plans.ipynb)."
    )
    parts = (f"## {name}\n\n{''.join(_name(name, getattr(planner, name)))}" for name in planner.__all__)
    return (text + "".join(parts)).rstrip("\n") + "\n"


def _name(name: str, found: Any) -> Iterator[str]:
    code = _signature(name, found) if inspect.isfunction(found) else "\n".join(_fields(found))
    yield f"```python\n{code}\n```\n\n" if code else ""
    yield from _docstring(inspect.getdoc(found) or "")
    if inspect.isclass(found):
        members = ((n, one) for n, one in sorted(vars(found).items()) if not n.startswith("_"))
        public = [(n, one) for n, one in members if inspect.isfunction(one) or isinstance(one, PROPERTIES)]
        yield "".join(item(f"`{n}`: {first}") for n, one in public if (first := _first(one)))
        yield "\n" if public else ""


PROPERTIES = (property, cached_property)


def _first(found: Any) -> str:
    return " ".join((inspect.getdoc(found) or "").partition("\n\n")[0].split())


def _source(found: Any) -> Any:
    """The syntax of a class or a function: types as they are written, whatever they have become since."""
    return ast.parse(dedent(inspect.getsource(found))).body[0]


def _signature(name: str, function: Any) -> str:
    written = _source(function)
    types = {one.arg: ast.unparse(one.annotation) for one in ast.walk(written.args) if isinstance(one, ast.arg)}
    parts, keyword = [], False
    for one in inspect.signature(function).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not keyword:
            parts, keyword = [*parts, "*"], True
        default = "" if one.default is one.empty else f" = {one.default!r}"
        parts.append(f"{'**' if one.kind is one.VAR_KEYWORD else ''}{one.name}: {types[one.name]}{default}")
    inner = "".join(f"    {part},\n" for part in parts)
    return f"{name}(\n{inner}) -> {ast.unparse(written.returns)}"


def _fields(found: Any) -> Iterator[str]:
    """Fields with their types."""
    for kind in reversed(found.__mro__):
        if kind.__module__.startswith("planner."):
            for one in _source(kind).body:
                if isinstance(one, ast.AnnAssign) and not ast.unparse(one.target).startswith("_"):
                    yield f"{ast.unparse(one.target)}: {ast.unparse(one.annotation)}"


def _docstring(text: str) -> Iterator[str]:
    """Paragraphs, and what is indented below one as a list."""
    for part in inspect.cleandoc(text).split("\n\n"):
        lines = part.split("\n")
        inner = [line for line in lines if line.startswith("    ")]
        yield paragraph(" ".join(line for line in lines if not line.startswith("    ")))
        if inner:
            joined = re.sub(r"\n +(?=\S)", " ", inspect.cleandoc("\n".join(inner)))
            yield "".join(map(item, joined.split("\n"))) + "\n"


def topics() -> str:
    """What `planner help` says."""
    text = "# Topics\n\n" + paragraph("What `planner help TOPIC` prints.")
    for name, (about, lines) in TOPICS.items():
        said = "\n".join("\n".join(prose([line], 100, 8)) for line in lines())
        text += f"## {name}\n\n{about[0].upper()}{about[1:]}.\n\n```text\n{said}\n```\n\n"
    return text.rstrip("\n") + "\n"


def schemas() -> dict[str, str]:
    """A page for each schema, and their list."""
    rows, pages = [], {}
    for name, schema in sorted(made().items()):
        rows.append(item(f"[{name}]({name}.md): {schema['title']}; [JSON Schema]({name}.json)"))
        text = f"# {name}\n\n" + paragraph(f"{schema['title']}. [As a JSON Schema]({name}.json). {FORMS}")
        records = schema.get("$defs", {})
        sections = (f"\n## {inner}\n\n{_section(inner, records)}" for inner in records)
        pages[f"{name}.md"] = text + "".join(_keys(schema)) + "".join(sections)
    pages["README.md"] = INDEX + "".join(rows)
    return pages


FORMS = "A key with `?` may be missing."
INDEX = "# Schemas\n\n" + paragraph(
    "Every `--json` answer names its schema and version. A version keeps its keys and their types; keys may be added, "
    "so leave alone those that you do not know. What breaks that is a new version (`tests/frozen/schemas` has what "
    "each promised)."
)


def _section(name: str, records: dict[str, Schema]) -> str:
    """A record; its keys beside those of the largest other one that it has all keys of."""
    about, keys = records[name]["description"], records[name]["properties"].items()
    others = {other: one["properties"] for other, one in records.items() if one["properties"].items() < keys}
    like = max(others, key=lambda other: len(others[other]), default="")
    also = f" All of [{like}](#{like.lower()}), and:" if like else ""
    return paragraph(f"{about}.{also}") + "".join(_keys(records[name], others.get(like, ())))


def _keys(record: Schema, known: Container[str] = ()) -> Iterator[str]:
    """A record's keys with their types and meanings."""
    for name, value in record["properties"].items():
        if name in known:
            continue
        said = value.get("description", "")
        about = f" {said[0].upper()}{said[1:]}." if said else ""
        yield item(f"`{name}{'' if name in record['required'] else '?'}`: {_type(value)}.{about}")


def _type(value: Schema) -> str:
    """A type in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(map(_type, value["anyOf"]))
    if "const" in value or "enum" in value:
        return ", ".join(map(json.dumps, value.get("enum", [value.get("const")])))
    if "items" in value:
        return " or ".join([f"list of {_type(value['items'])}", *(["null"] if "null" in value["type"] else [])])
    if "properties" in value:
        return f"object with {', '.join(f'`{name}`' for name in value['properties'])}, numbers"
    if "additionalProperties" in value:
        return f"object, each value: {_type(value['additionalProperties'])}"
    kinds = value.get("type", "anything")
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)
