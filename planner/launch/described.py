"""Targets as data: what planner/launch/tables/NAME.yaml has of a name, of what is written and what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from planner.catalog import yamlfile
from planner.catalog.expressions import rows, told
from planner.launch.program import Flag, Program, Setup, Target, adapters_said, flag_lines, only_file
from planner.plan import Plan
from planner.schema.workload import STORING, Workload
from planner.training.frameworks import FRAMEWORK_RULES, OPTIONS
from planner.training.frameworks.torchtitan import OFFLOADS
from planner.training.job import Job
from planner.training.rule import Rule

LISTS = {"STORING": STORING, "OFFLOADS": OFFLOADS}
"""Values that are listed elsewhere."""


@cache
def table(name: str) -> dict[str, Any]:
    """What planner/launch/tables/NAME.yaml says."""
    return yamlfile.table("launch", f"tables/{name}.yaml")


class Words(dict[str, Any]):
    """What the condition of a rule may name: fields of Plan and Workload, what a job has, and `more`."""

    def __init__(self, job: Job, plan: Plan, more: dict[str, Any]) -> None:
        super().__init__(more, job=job, plan=plan)

    def __missing__(self, name: str) -> Any:
        job = self["job"]
        known = (self["plan"], Plan.__dataclass_fields__), (job.workload, Workload.model_fields)
        source = next((source for source, names in known if name in names), job)
        if not hasattr(source, name):
            raise KeyError(name)
        return getattr(source, name)


def target(name: str, program: Callable[[Setup], Program], first: Iterable[Rule] | None = None, **more: Any) -> Target:
    """A target by its table; `first`: rules in front of the table's own, its framework's where none are given.

    Args:
        more: what conditions of the table name beside `Words`.
    """
    said = table(name)
    theirs = tuple(FRAMEWORK_RULES.get(name, ()) if first is None else first)
    rows = said.get("rules", {})
    own = [theirs if row is None else (_rule(key, row, more),) for key, row in rows.items()]
    rules = (*(() if None in rows.values() else theirs), *(rule for part in own for rule in part))
    return Target(
        name,
        said["title"],
        said["versions"],
        (*rules, *OPTIONS.get(name, ())),
        program,
        {"flags": flag_lines, "file": only_file}[said["bare"]],
        said["writes"],
        {field: _values(words) for field, words in said["expresses"].items()},
        said.get("preset", ""),
        tuple(said.get("towers", "").split()),
    )


def part(name: str, key: str, setup: Setup, **more: Any) -> dict[str, Any]:
    """What a part of a target's table comes to for a plan."""
    return dict(rows(table(name)[key], Words(setup.job, setup.plan, more)))


def notes(name: str, setup: Setup, **more: Any) -> tuple[str, ...]:
    """What a target's table says stays with the user."""
    words = Words(setup.job, setup.plan, {"adapters": adapters_said(setup.job)} | more)
    return tuple(row["says"].format_map(words) for row in table(name)["notes"] if told(row.get("if", "True"), words))


def options(pairs: Iterable[tuple[str, Any]]) -> Iterator[Flag]:
    """Options as words of a command: a switch alone, or not at all, of several values one word each."""
    for name, value in pairs:
        if value is not False:
            several = value if isinstance(value, tuple | list) else () if value is True else (value,)
            yield f"--{name}", *(f"{one}" for one in several)


def _rule(name: str, row: dict[str, str], more: dict[str, Any]) -> Rule:
    return Rule(name, lambda job, plan: told(row["holds"], Words(job, plan, more)), row["says"], row["source"])


def _values(words: str) -> tuple[str, ...]:
    return tuple(value for word in words.split() for value in LISTS.get(word, (word,)))
