"""JSON Schemas out of records: every kind of value, and what is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jsonschema
import pytest
from annotated_types import MinLen
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict

from planner.documents.values import Above, Among, Amount, As, Parts, Pattern, Positive
from tests.docs.schemas import answer, described, schemas, text


class Inner(BaseModel):
    """A model.

    Attributes:
        seq: tokens; of: None: the default's.
    """

    seq: int = Field(ge=1)
    of: Literal["a", "b"] | None = None


class Base(TypedDict):
    """Below.

    Attributes:
        low: what it is; high: the other one.
    """

    low: Amount
    high: Above | None


class Whole(Base):
    """planner try --json."""

    schema: Literal["planner.try/1"]
    name: Annotated[str, Pattern("^[a-z]+$")]
    kind: Annotated[str, Among(("x", "y"))]
    inner: Annotated[dict[str, Any], As(Inner)]
    parts: Annotated[dict[str, float], Parts(("one", "two"))]
    some: Annotated[list[Positive], MinLen(1)]
    free: dict[str, int]
    either: Base | bool
    maybe: NotRequired[str]


GOOD: dict[str, Any] = {
    **{"low": 0, "high": None, "schema": "planner.try/1", "name": "ab", "kind": "x", "inner": {"seq": 1, "of": None}},
    **{"parts": {"one": 0.5, "two": 1}, "some": [1], "free": {"any": 3}, "either": {"low": 1.5, "high": 2}},
}


def test_what_a_record_says_is_taken() -> None:
    """With what may be missing and without it."""
    jsonschema.validate(GOOD, answer(Whole))
    jsonschema.validate(GOOD | {"maybe": "x", "high": 0.1, "either": True}, answer(Whole))


@pytest.mark.parametrize(
    "change",
    [
        *({"low": -1}, {"low": None}, {"low": "1"}, {"high": 0}, {"name": "A"}, {"kind": "z"}, {"maybe": 1}),
        *({"schema": "planner.try/2"}, {"either": {"low": 1}}, {"other": 1}, {"free": {"any": "3"}}),
        *({"inner": {"seq": 1}}, {"inner": {"seq": 0, "of": None}}, {"inner": {"seq": 1, "of": "c"}}),
        *({"parts": {"one": 1}}, {"parts": {"one": 1, "two": -1}}, {"parts": {"one": 1, "two": 1, "three": 1}}),
        *({"some": []}, {"some": [0]}, {"some": [1.5]}),
    ],
    ids=str,
)
def test_nothing_else_is(change: dict[str, Any]) -> None:
    """Other types, numbers out of range, words that are none of a list, keys that are missing or too many."""
    assert not jsonschema.Draft202012Validator(answer(Whole)).is_valid(GOOD | change)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_key_that_is_missing_is_seen(name: str) -> None:
    """Each but those that may be."""
    less = {key: value for key, value in GOOD.items() if key != name}
    assert not jsonschema.Draft202012Validator(answer(Whole)).is_valid(less)


def test_meanings_come_from_the_docstrings() -> None:
    """Of the record, of what it extends, of models inside; null as JSON has it."""
    assert described(Whole) == ("planner try --json", {"low": "what it is", "high": "the other one"})
    assert described(Inner)[1] == {"seq": "tokens", "of": "null: the default's"}
    found = answer(Whole)
    assert (found["title"], found["properties"]["low"]["description"]) == ("planner try --json", "what it is")


@pytest.mark.parametrize("name", schemas())
def test_every_schema_is_one(name: str) -> None:
    """Of the draft that it names, in lines that a screen has room for but where a sentence is longer."""
    jsonschema.Draft202012Validator.check_schema(schemas()[name])
    assert all(len(line) <= 120 or '"description"' in line for line in text(schemas()[name]).splitlines())
