"""A version of a schema keeps what it promised: no key goes, none changes its type, what was always there stays so.

tests/frozen/schemas has every version's keys as they were published. Keys may come: PLANNER_REGENERATE=1 notes them,
and refuses to note anything else. What breaks a promise is a new version: recommendation-2.json, beside the old.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.docs.keys import Key, keys
from tests.docs.schemas import schemas

PROMISED = Path(__file__).parents[1] / "frozen" / "schemas"
NAMES = sorted(schemas())


def promised(path: Path) -> dict[str, Key]:
    """Keys as they were published."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, types = line.partition(": ")
        found[name.rstrip("?")] = Key(name.rstrip("?"), frozenset(types.split(" | ")), not name.endswith("?"))
    return found


def broken(old: dict[str, Key], new: dict[str, Key]) -> Iterator[str]:
    """What a reader of the old keys would trip over. A whole number is a number, too."""
    for path, was in old.items():
        now = new.get(path)
        if now is None and path.endswith("[]") and any(one.startswith(f"{path}.") for one in new):
            continue  # objects, whose keys are listed by now
        if now is None:
            yield f"{path} is gone"
            continue
        known = was.types | ({"integer"} if "number" in was.types else set())
        if "any" not in was.types and not now.types <= known:
            yield f"{path} was {was.line.split(': ')[1]}, is {now.line.split(': ')[1]}"
        if was.sure and not now.sure:
            yield f"{path} was always there"


@pytest.mark.parametrize("name", NAMES)
def test_promises_are_kept(name: str) -> None:
    """Of every version, beside which the file of promises has all that is new."""
    now, file = keys(schemas()[name]), PROMISED / f"{name}.txt"
    if file.exists():
        assert not list(broken(promised(file), now))
    noted = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    lines = [key.line for key in now.values()]
    if os.environ.get("PLANNER_REGENERATE"):
        noted = [line for line in noted if line in lines] + [line for line in lines if line not in noted]
        file.write_text("".join(f"{line}\n" for line in noted), encoding="utf-8")
    assert sorted(noted) == sorted(lines), "new keys: PLANNER_REGENERATE=1 notes them"


def test_no_version_goes() -> None:
    """What was published once stays."""
    assert {path.stem for path in PROMISED.glob("*.txt")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_version_says_which_it_is(name: str) -> None:
    """The name that answers carry is the file's."""
    assert keys(schemas()[name])["schema"].values == (f"planner.{name.replace('-1', '/1')}",)


def changed(change: str) -> dict[str, Any]:
    """The schema of recommendations with one change."""
    schema = deepcopy(schemas()["recommendation-1"])
    plan, cluster = schema["$defs"]["Plan"], schema["$defs"]["Cluster"]
    if change == "removed":
        del plan["properties"]["step_time_s"]
    elif change == "retyped":
        plan["properties"]["tp"] = {"type": "string"}
    elif change == "null":
        plan["properties"]["tp"] = {"type": ["integer", "null"]}
    elif change == "optional":
        plan["required"].remove("mfu")
    elif change == "nested":
        cluster["properties"]["gpus"] = {"type": "array"}
    else:
        plan["properties"]["new"] = {"type": "string"}
    return schema


@pytest.mark.parametrize("change", ["removed", "retyped", "null", "optional", "nested"])
def test_a_break_is_seen(change: str) -> None:
    """Each kind of it."""
    assert list(broken(promised(PROMISED / "recommendation-1.txt"), keys(changed(change))))


def test_more_is_no_break() -> None:
    """Readers leave alone what they do not know."""
    assert not list(broken(promised(PROMISED / "recommendation-1.txt"), keys(changed("new"))))


def test_keys_of_a_small_schema() -> None:
    """References, lists, alternatives and free names."""
    schema = {
        "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"type": "array", "items": {"$ref": "#/$defs/x"}}},
        "required": ["a"],
        "$defs": {
            "x": {"anyOf": [{"type": "null"}, {"type": "object", "additionalProperties": {"enum": [1, 2]}}]},
        },
    }
    lines = [key.line for key in keys(json.loads(json.dumps(schema))).values()]
    assert lines == ["a: null | object", "a.*: integer", "b?: array", "b[]: null | object", "b[].*: integer"]
