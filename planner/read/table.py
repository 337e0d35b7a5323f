"""What becomes of each option of a framework: modelled, without effect, or named as not modelled.

A table is a YAML file in planner/read/tables, written from the framework's own sources. Its rows are "field: options"
where they are modelled and "reason: options" elsewhere (of those that are not modelled: they touch memory and time), or
name more than that: to, touches, why, options. Whatever a file gives that is in no table is named as unknown, so that
nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache
from typing import Any

from planner.catalog import yamlfile
from planner.frozen import frozen

TOUCHES = ("memory", "time", "legality")
"""What an option that is not modelled may change."""

KINDS = ("modelled", "not_modelled", "without_effect")
"""Sections of a table."""

OPEN = ("", "auto", "null", "~")
"""Values by which an option leaves to the framework what it sets."""

OFF = (*OPEN, "false", "none", "no", "off")
"""Those and what switches an option off whose default is not listed."""

UNKNOWN = "unknown to planner"
"""Why an option outside the table is named."""


@frozen
class Given:
    """One option as a file or command gives it; a switch has the value "true"."""

    option: str
    value: str = "true"
    line: int = 0


@frozen
class NotModelled:
    """An option that the answer does not account for, with what it touches of TOUCHES."""

    option: str
    value: str
    touches: tuple[str, ...]
    why: str
    line: int = 0

    @property
    def said(self) -> str:
        """ "cp-comm-type a2a"; a switch stands alone."""
        return self.option if self.value in ("", "true", "True") else f"{self.option} {self.value:.60}"


@frozen
class Group:
    """Options of one fate, for one reason.

    Attributes:
        kind: of KINDS. options: name -> values that are not named: of modelled options those that are modelled (none
            listed: all), of the others the framework's default.
        to: fields of the job and plan that they set. touches, why: what else they change, of values not modelled.
    """

    kind: str
    options: Mapping[str, tuple[str, ...]]
    to: str = ""
    touches: tuple[str, ...] = ()
    why: str = ""

    def names(self, option: str, value: str) -> bool:
        """Whether this value of one of its options is to be named."""
        listed = self.options[option]
        if self.kind == "without_effect" or (self.kind == "modelled" and not listed):
            return False
        return not any(same(value, one) for one in (*listed, *(OPEN if listed else OFF)))


@frozen
class Table:
    """The options of one framework.

    Attributes:
        name: of its file. framework, version, source: what it was written from. spelled: how users write an option,
            with {} for its name. groups: its own. rows: every option, those of included tables too, by `key`.
    """

    name: str
    framework: str
    version: str
    source: str
    spelled: str
    groups: tuple[Group, ...]
    rows: Mapping[str, tuple[str, Group]] = field(repr=False)

    def group(self, option: str) -> Group | None:
        """The group of an option; of "a.b.c" also what the table says of "a.b.*" or "a.*", of "a_b" of "a_*"."""
        return (self._row(option) or (None, None))[1]

    def _row(self, option: str) -> tuple[str, Group] | None:
        path = key(option)
        while path not in self.rows and path:
            if row := self._begun(path):
                return row
            path = (path.removesuffix(".*").rpartition(".")[0] + ".*").removeprefix(".*")
        return self.rows.get(path)

    def _begun(self, path: str) -> tuple[str, Group] | None:
        """What the table says of "save*" or "save_*", for "save_steps"."""
        if path.endswith("*"):
            return None
        cuts = [place for place, char in enumerate(path) if char in "_."]
        ends = {"_": ("_*", "*"), ".": ("*",)}
        tried = [f"{path}*", *(f"{path[:at]}{end}" for at in reversed(cuts) for end in ends[path[at]])]
        return next((self.rows[name] for name in tried if name in self.rows), None)

    def not_modelled(self, given: Iterable[Given]) -> tuple[NotModelled, ...]:
        """Those that the estimate does not account for, in the order given; values that are the default are not."""
        return tuple(found for one in given if (found := self._named(one)) is not None)

    def _named(self, one: Given) -> NotModelled | None:
        row = self._row(one.option)
        if row is None:
            return NotModelled(one.option, one.value, TOUCHES, UNKNOWN, one.line)
        name, group = row
        if not group.names(name, one.value):
            return None
        return NotModelled(one.option, one.value, group.touches, group.why, one.line)


def key(option: str) -> str:
    """An option as tables look it up: without leading dashes, "_" for "-"."""
    return option.lstrip("-").replace("-", "_")


def same(value: str, other: str) -> bool:
    """Equal as text of any case, as lists with commas or blanks, or as numbers."""
    value, other = (",".join(text.lower().replace(",", " ").split()) for text in (value, other))
    try:
        return value == other or float(value) == float(other)
    except ValueError:
        return False


@cache
def table(name: str) -> Table:
    """The table of planner/read/tables/NAME.yaml."""
    said = yamlfile.table("read", f"tables/{name}.yaml")
    groups = tuple(_groups(said))
    rows = {path: row for other in str(said.get("includes", "")).split() for path, row in table(other).rows.items()}
    rows |= {key(option): (option, group) for group in groups for option in group.options}
    return Table(name, said["framework"], str(said["version"]), said["source"], said["spelled"], groups, rows)


def _groups(said: Mapping[str, Any]) -> Iterator[Group]:
    for kind in KINDS:
        for one in (_row(kind, row) for row in said.get(kind, ())):
            options = dict(_option(word) for word in str(one["options"]).split())
            yield Group(kind, options, one.get("to", ""), tuple(one.get("touches", "").split()), one.get("why", ""))


def _row(kind: str, row: dict[str, str]) -> dict[str, str]:
    """A row with all its names; of options that are not modelled the short form touches memory and time."""
    if "options" in row:
        return row
    ((said, options),) = row.items()
    touched = {"touches": "memory time"} if kind == "not_modelled" else {}
    return {"to" if kind == "modelled" else "why": said, "options": options} | touched


def _option(word: str) -> tuple[str, tuple[str, ...]]:
    """ "optimizer=adam|adamw" as its name and values."""
    name, equals, values = word.partition("=")
    return name, tuple(values.split("|")) if equals else ()


def flat(tree: Mapping[str, Any], path: str = "") -> Iterator[Given]:
    """Every leaf of a configuration as "section.key"; a list is one value, of its items separated by spaces."""
    for name, value in tree.items():
        where = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping):
            yield from flat(value, where)
        else:
            yield Given(where, text_of(value))


def text_of(value: Any) -> str:
    """A value of JSON, YAML or TOML as the command line would have it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return " ".join(map(text_of, value)) if isinstance(value, list | tuple) else str(value)
