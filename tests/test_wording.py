"""What other packages find wrong is said in the planner's words, in every version of theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from planner.catalog.library import KINDS, record_of
from planner.catalog.yamlfile import parse_yaml
from planner.errors import PlannerError
from planner.schema.hardware import Cluster, ClusterFile
from planner.schema.serving import ServeWorkload
from planner.schema.workload import Workload
from planner.wording import NotRead, load_json, load_toml, schema_problem

RECORDS: list[type[BaseModel]] = [
    *map(record_of, KINDS),
    Cluster,
    ClusterFile,
    Workload,
    ServeWorkload,
]
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats()
    | st.sampled_from(["", "b", "3 GB", "x" * 3000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_every_kind_of_schema_error_has_words(data: st.DataObject) -> None:
    """Whatever stands in a field: none of the fallback, and nothing that names Python or pydantic."""
    record = data.draw(st.sampled_from(RECORDS))
    fields = data.draw(st.dictionaries(st.sampled_from([*record.model_fields, "unknown"]), JUNK, max_size=4))
    with pytest.raises(ValidationError) as caught:
        record.model_validate(fields | {"unknown": 1})
    for problem in caught.value.errors():
        said = schema_problem(problem)
        assert said != "not a legal value" and not said.startswith(("Input should", "Value error"))


def test_an_unknown_kind_of_schema_error_is_still_ours() -> None:
    """A version of pydantic that finds something new does not get to say it."""
    said = schema_problem({"type": "new_kind", "loc": ("a",), "msg": "its words", "input": 1})
    assert said == "not a legal value"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "it ends too early"),
        ('{"a": 1,\n "b": ?}', 2, "'?' is not expected there"),
        ('{"a": [1,\n', 2, "it ends too early"),
        ("[" * 33 + "]" * 33, 1, "nested more than 32 levels deep"),
        ("[" * 300_000, 1, "nested more than 32 levels deep"),
        ('{"a":\n' * 100_000, 33, "nested more than 32 levels deep"),
        ('["[[[[",\n' + "9" * 5000 + "]", 2, "a number of more than a thousand digits"),
    ],
)
def test_what_is_wrong_with_json(text: str, line: int, reason: str) -> None:
    """Line and reason; the limits are the planner's own, so that they hold in every version of Python."""
    with pytest.raises(NotRead) as caught:
        load_json(text)
    assert (caught.value.line, caught.value.reason) == (line, reason)


def test_json_within_the_limits_is_read() -> None:
    """32 levels, a thousand digits, and brackets inside a text."""
    value = json.dumps({"deep": None, "long": 10**999, "text": '["[' * 40})
    value = value.replace("null", "[" * 31 + "]" * 31)
    assert load_json(value) == json.loads(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = ", "line 1 is no TOML: key = value, or [section], is expected"),
        ('[x]\na = "b\n', "line 2 is no TOML: key = value, or [section], is expected"),
        ("a = " + "[" * 33 + "]" * 33, "line 1 is no TOML: nested more than 32 levels deep"),
        ("a = " + "[" * 100_000, "line 1 is no TOML: nested more than 32 levels deep"),
        (f"a = {'9' * 5000}", "line 1 is no TOML: a number of more than a thousand digits"),
    ],
)
def test_what_is_wrong_with_toml(text: str, says: str) -> None:
    """Line and reason."""
    with pytest.raises(PlannerError) as caught:
        load_toml(text)
    assert str(caught.value) == says


@pytest.mark.parametrize("pure", [False, True])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: " + "[" * 5000, "x:1: nested more than 32 levels deep"),
        ("a:\n" + "- " * 5000, "x:2: nested more than 32 levels deep"),
        ("b: '['\nmoe:\n\texperts: 8\n", "x:3: a tab indents this line"),
        ("x: [1, 2\n", "x:2: the bracket of line 1 is still open"),
        ("a: {b: 1\nc: 2\n", "x:2: the bracket of line 1 is still open"),
        ("x: 'abc\n", "x:2: a quote is still open at the end"),
        ("a: b: c\n", "x:1: two colons on one line"),
        ("a: @b\n", "x:1: not YAML: key: value, or - entry, is expected"),
        ("a:\n  b: 1\n c: 2\nd: 3\n", "x:3: not YAML: key: value, or - entry, is expected"),
        ("a: 1\nb: \x00\n", r"x:2: the control character '\x00' is not read"),
    ],
)
def test_what_is_wrong_with_yaml(monkeypatch: pytest.MonkeyPatch, pure: bool, text: str, says: str) -> None:
    """Line and reason, the same from both of its parsers."""
    import yaml

    from planner.catalog import yamlfile

    if pure:
        monkeypatch.setattr(yamlfile, "_LOADER", yaml.SafeLoader)
    with pytest.raises(PlannerError) as caught:
        parse_yaml(text, "x")
    assert str(caught.value) == says
