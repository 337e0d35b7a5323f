"""The reference pages are what the code is today: PLANNER_REGENERATE=1 writes them anew."""

from __future__ import annotations

import inspect

import pytest

import planner
from tests.docs import reference, schemas
from tests.docs.markdown import DOCS, is_up_to_date


@pytest.mark.parametrize("name", ["commands", "python", "topics"])
def test_page_is_up_to_date(name: str) -> None:
    """Every command and option, every public name, every topic."""
    assert is_up_to_date(f"reference/{name}.md", getattr(reference, name)())


@pytest.mark.parametrize("name", schemas.schemas())
def test_schema_is_up_to_date(name: str) -> None:
    """As the records say."""
    assert is_up_to_date(f"schemas/{name}.json", schemas.text(schemas.schemas()[name]) + "\n")


@pytest.mark.parametrize("name", ["README.md", *(f"{name}.md" for name in schemas.schemas())])
def test_schema_page_is_up_to_date(name: str) -> None:
    """Every key."""
    assert is_up_to_date(f"schemas/{name}", reference.schemas()[name])


def test_no_schema_page_without_a_schema() -> None:
    """A schema that is gone takes its page along."""
    assert {path.name for path in (DOCS / "schemas").glob("*.md")} == set(reference.schemas())
    assert {path.stem for path in (DOCS / "schemas").glob("*.json")} == set(schemas.schemas())


def test_every_option_is_on_the_page() -> None:
    """The walk over the commands misses none."""
    text = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    for words in ("`--model`, `-m`", "`--tokens`", "`--cuda-graphs`", "`--measured-step`", "`--prefill`", "## mcp"):
        assert words in text


@pytest.mark.parametrize("name", planner.__all__)
def test_public_names_are_documented_and_typed(name: str) -> None:
    """A docstring, and of functions a type for everything."""
    found = getattr(planner, name)
    assert len(inspect.getdoc(found) or "") > 20
    if inspect.isfunction(found):
        signature = inspect.signature(found)
        typed = [one.annotation for one in signature.parameters.values()] + [signature.return_annotation]
        assert inspect.Signature.empty not in typed
