"""Plans as keys and values: Megatron-LM's options in other frameworks' files, and fields of tables of formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from planner.launch.program import Flag
from planner.read.format import Format
from planner.read.megatron_tree import ALIASES

OFF = {"disable_bias_linear": "add_bias_linear"}
"""Names of values that an option of Megatron-LM sets to false, where it is not its own without "no" (its `dest`)."""

NAMED = {"fp8_format": "fp8", "fp4_format": "fp4"}
"""Names of values that are not their option's."""


def megatron_keys(flags: Iterable[Flag], form: Format) -> dict[str, Any]:
    """Options as values of a namespace; what the format has on or off and these options leave alone is set back."""
    found = as_fields(flags)
    return found | {k: not value for k, value in form.defaults.items() if isinstance(value, bool) and k not in found}


def as_fields(flags: Iterable[Flag]) -> dict[str, Any]:
    """Options of Megatron-LM as the fields that they set: ("--disable-bias-linear",) is add_bias_linear: false."""
    found: dict[str, Any] = {}
    for option, *values in flags:
        name = option[2:].replace("-", "_")
        off = OFF.get(name) or name.removeprefix("no_")
        found[NAMED.get(off, off)] = False if off != name else _value(values)
    return found


def renamed(keys: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The same under names of ALIASES that a framework has for them."""
    theirs = {ALIASES[name].replace("-", "_"): name for name in names}
    return {theirs.get(key, key): value for key, value in keys.items()}


def _value(values: list[str]) -> Any:
    """A switch, a number, a text or a list; "4096,0" is a pair."""
    if len(values) == 1 and re.fullmatch(r"-?\d+(,-?\d+)+", values[0]):
        return [int(one) for one in values[0].split(",")]
    found = [yaml.safe_load(one) for one in values]
    return found[0] if len(found) == 1 else found or True


def overrides(keys: Mapping[str, Any]) -> tuple[Flag, ...]:
    """ "section.key=value" as Hydra takes it; texts that it could misread stand in quotes."""
    return tuple((f"{key}={_word(value)}",) for key, value in keys.items())


def _word(value: Any) -> str:
    if isinstance(value, bool | None):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_word(one)}' for key, one in value.items())}}}"
    text = str(value)
    return text if re.fullmatch(r"[\w./+-]+", text) else f"'{text}'"


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """ "a.b": 1 as {a: {b: 1}}."""
    top: dict[str, Any] = {}
    for path, value in flat.items():
        *sections, name = path.split(".")
        here = top
        for section in sections:
            here = here.setdefault(section, {})
        here[name] = value
    return top


def field_keys(form: Format, fields: Mapping[str, Any], sections: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a job by the keys of their format's table, the first of these sections.

    "offload=activations" is a switch: its key is true where the field has that value.
    """
    found: dict[str, Any] = {}
    for group in form.table.groups:
        name, switch, fixed = group.to.partition("=")
        keys = [key for key in group.options if key.startswith(sections)]
        if group.kind == "modelled" and keys and name in fields and (not switch or fields[name] == fixed):
            found.setdefault(keys[0], True if switch else fields[name])
    return found
