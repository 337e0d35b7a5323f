"""docs/rules-of-thumb.md is what the planner computes today, and the rules that answers cite are those that decided."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from planner import ask, recommend
from planner.plan import Range
from planner.questions.serve import answer, ask_serve
from planner.questions.thumbs import THUMBS
from planner.questions.train import recommend as search
from tests.docs.thumb_maps import maps, page

PAGE = Path(__file__).parents[2] / "docs" / "rules-of-thumb.md"


def test_page_is_up_to_date() -> None:
    """PLANNER_REGENERATE=1 writes it anew."""
    text = "".join(page())
    if os.environ.get("PLANNER_REGENERATE"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", [name for name in THUMBS if name != "recompute"])
def test_the_corrected_rule_is_the_better_one(name: str) -> None:
    """It holds in as large a share of the jobs in which it speaks at least, and is obeyed for less at worst."""
    said, corrected = maps()[name].tally(False), maps()[name].tally(True)
    assert corrected[0] / corrected[1] >= said[0] / said[1] and corrected[2] <= said[2] and corrected[3] <= said[3]


def test_every_rule_is_on_the_page() -> None:
    """With a map, or with a table of its own."""
    assert {*maps(), "recompute"} == THUMBS.keys()


CITED = [
    ("llama3.1-70b", "8x8xA100", {}),
    ("llama3.1-8b", "8xH100", {}),
    ("gpt3-175b", "32x8xA100", {"global_batch": 256}),
    ("llama3.1-70b", "8x8xH100", {"global_batch": 32, "tp": "4", "pp": "4"}),
]


@pytest.mark.parametrize(("model", "gpus", "options"), CITED, ids=[f"{c[0]}-{c[1]}" for c in CITED])
def test_breaking_the_cited_rule_costs_what_it_says(model: str, gpus: str, options: dict[str, object]) -> None:
    """By a search of the plans with that one change."""
    question = ask(model, gpus, **options)
    found = search(question.job, question.bounds, 1)
    first, rule = found.ranked[0].plan, found.rule
    assert rule is not None and rule.rule in THUMBS
    name, _, value = rule.without.partition("=")
    kept = {name: getattr(first, name) for name in ("tp", "pp", "v", "b", "zero", "sp", "head")} | {"head": 0}
    kept |= {name: int(value)} | ({"sp": 0} if rule.without == "tp=1" else {})
    bounds = type(question.bounds)({name: Range(number, number) for name, number in kept.items()})
    other = search(question.job, bounds, 1, exact=True)
    if rule.slower is None:
        assert not other.fits
        return
    assert other.ranked[0].step_time / found.ranked[0].step_time - 1.0 == pytest.approx(rule.slower, abs=1e-3)
    assert str(rule) in str(recommend(model, gpus, top=1, **options)).replace("\n        ", " ")


SERVED = [
    ("llama3.1-70b", "8xH100", {"users": 16}, "tp-online"),
    ("llama3.1-70b", "4x8xH100", {"rate": "5"}, "replicas"),
    ("llama3.1-70b", "8xL40S", {"objective": "offline"}, "deep-offline"),
    ("llama3.1-405b", "2x8xH100", {"users": 8}, "tp-online"),
    ("gpt2-xl", "1xH100", {}, None),
]


@pytest.mark.parametrize(("model", "gpus", "options", "rule"), SERVED, ids=[f"{c[0]}-{c[1]}" for c in SERVED])
def test_deployments_cite_the_rule_that_decided(
    model: str, gpus: str, options: dict[str, object], rule: str | None
) -> None:
    """Against the best deployment with stages, or without."""
    found = answer(ask_serve(model, gpus, **options)).rule  # type: ignore[arg-type]
    assert (None if found is None else found.rule) == rule
    assert found is None or found.slower is None or found.slower > 0.01
