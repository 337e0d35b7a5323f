"""The planner from Python, as notebooks and scripts use it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import planner
from planner.errors import PlannerError
from planner.questions.curve import ask_curve, compare
from planner.size import ask_size
from planner.units import format_seconds

ROOT = Path(__file__).parents[1]


def test_names_in_an_answer_out() -> None:
    """The same records as the command's JSON, as attributes and as keys."""
    answer = planner.recommend(model="llama70b", gpus="64xA100", tp="4", top=3)
    first = answer.plans[0]
    assert (first.tp, first["tp"], len(answer.plans), answer.fits) == (4, 4, 3, True)
    assert first.step_time_s == pytest.approx(answer.found.ranked[0].step_time)
    assert json.loads(json.dumps(answer.to_dict()))["plans"][0]["tp"] == 4
    with pytest.raises(AttributeError, match="no 'step'"):
        _ = first.step


def test_what_a_notebook_shows() -> None:
    """A screen of text, or a table; what was assumed is below it."""
    answer = planner.recommend("llama70b", "8xA100")
    assert len(repr(answer)) < 4000 and "Does not fit as asked." in repr(answer)
    assert "\x1b" not in repr(answer) + str(answer)
    page = answer._repr_html_()
    assert "Does not fit as asked." in page and page.count("<tr") == 1 + len(answer.plans) and "llama3.1-70b" in page
    assert format_seconds(answer.plans[0].step_time_s) in page and "<script" not in page and "<button" not in page
    assert "tokens/s/GPU" in planner.serve("gpt2-xl", "1xA100", input=100, output=10)._repr_html_()
    assert str(planner.serve("gpt2-xl", "1xA100", input=100, output=10)).count("\n") > 5


def test_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each plan, a column for each number; without pandas an error that says so."""
    answer = planner.recommend("llama3-8b", "8xA100", top=3)
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: rows))
    rows = answer.to_pandas()
    assert [row["memory_bytes.total"] for row in rows] == [one.memory_bytes["total"] for one in answer.plans]
    mixed = planner.recommend("llama70b", "8xA100").to_pandas()  # relaxed plans, some without a band of memory
    assert len({tuple(row) for row in mixed}) == 1 and "memory_band" not in mixed[0]
    assert len({tuple(row) for row in rows}) == 1 and not any(isinstance(x, dict) for row in rows for x in row.values())
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PlannerError, match="pandas is not installed"):
        answer.to_pandas()


def test_modules_hide_no_function() -> None:
    """Importing a part of the package leaves the functions of the package alone."""
    for name in ("size", "serve", "train", "sweep", "ask", "curve"):
        importlib.import_module(f"planner.questions.{name}")
    importlib.import_module("planner.size")
    assert all(callable(getattr(planner, name)) for name in ("recommend", "serve", "ask", "estimate"))
    assert len(planner.__all__) <= 12
    assert all(getattr(planner, name) is not None for name in planner.__all__)


def test_mistakes_are_errors_with_a_next_step() -> None:
    """As on the command line."""
    with pytest.raises(PlannerError, match="lama70b") as caught:
        planner.recommend("lama70b", "8xA100")
    assert "did you mean" in caught.value.hint[0]


def test_a_script_is_checked(tmp_path: Path) -> None:
    """The verdict that the command prints, and what it has no option for."""
    script = ROOT / "docs" / "examples" / "train_13b.sh"
    answer = planner.check(script, "2x8xA100")
    assert answer.plans[0].tp == 2 and answer.document["legal"] and not answer.fits
    assert str(answer).startswith("script ") and "does not fit" in answer._repr_html_().lower()
    with pytest.raises(PlannerError, match="check has no 'microbatch'"):
        planner.check(script, "2x8xA100", microbatch=1)
    with pytest.raises(PlannerError, match="no such file"):
        planner.check(tmp_path / "nowhere.sh", "2x8xA100")


@pytest.mark.parametrize(
    ("plain", "typed"),
    [
        ({"tp": 2}, {"tp": "2"}),
        ({"tp": [1, 2], "sp": False}, {"tp": "1,2", "sp": "0"}),
        ({"pp": range(1, 3)}, {"pp": "1,2"}),
        ({"micro_batch": 2, "margin": 0.08}, {"micro_batch": "2", "margin": "8%"}),
        ({"recompute": ["none", "full"]}, {"recompute": "none,full"}),
        ({"seq": "4k", "global_batch": "64"}, {"seq": 4096, "global_batch": 64}),
    ],
)
def test_values_may_be_pythons_own(plain: dict[str, Any], typed: dict[str, Any]) -> None:
    """Numbers and lists are what the command line writes as text."""
    answers = [planner.recommend("llama3-8b", "8xH100", **options).to_dict() for options in (plain, typed)]
    for answer in answers:
        del answer["search"]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tpp": 2}, "no option 'tpp'"),
        ({"top": 0}, "top must be"),
        ({"seq": 1.5}, "seq is a whole number"),
        ({"images": True}, "images is a whole number"),
        ({"strict": "yes"}, "strict is True or False"),
        ({"gpus": None}, "gpus is text"),
        ({"tp": object()}, "tp is text"),
        ({"imbalance": "much"}, "imbalance is a number"),
    ],
)
def test_values_of_another_kind_are_errors(options: dict[str, Any], says: str) -> None:
    """And options that are none: never an exception that nobody documents."""
    for verb in (planner.recommend, planner.serve) if "top" in options or "gpus" in options else (planner.recommend,):
        with pytest.raises(PlannerError, match=says):
            verb(**{"model": "llama3-8b", "gpus": "8xH100"} | options)


@pytest.mark.parametrize(
    ("verb", "gpus"),
    [
        (planner.ask, "8xH100"),
        (ask_size, ["H100", "A100"]),
        (ask_curve, "8xH100..16xH100"),
        (compare, ["8xH100", "8xA100"]),
    ],
)
def test_every_verb_takes_values_of_pythons_own(verb: Any, gpus: Any) -> None:
    """Options are normalised in one place, whoever resolves them."""
    plain = {"tp": 2, "margin": 0.08, "seq": "4k", "pp": np.array([1, 2]), "global_batch": np.int64(64)}
    found = verb("llama3-8b", gpus, **plain)
    text = verb(
        "llama3-8b",
        ",".join(gpus) if isinstance(gpus, list) else gpus,
        tp="2",
        margin="8%",
        seq=4096,
        pp="1,2",
        global_batch=64,
    )
    if verb is compare:
        found, text = ([one.question for one in several] for several in (found, text))
    assert found == text
    for name, value, says in (
        ("seq", 1.5, "seq is a whole number"),
        ("tpp", 2, "no option 'tpp'"),
        ("tp", {}, "is text"),
    ):
        with pytest.raises(PlannerError, match=says):
            verb("llama3-8b", gpus, **{name: value})


def test_a_switch_that_is_off_is_off() -> None:
    """False is no text that counts as true."""
    found = [planner.ask("qwen3-30b-a3b", "8xH100", method="qlora", quantize_experts=on) for on in (False, True)]
    assert [bool(one.job.workload.quantize_experts) for one in found] == [False, True]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tp": -1}, "tp must be at least 1"),
        ({"micro_batch": 1.5}, "micro_batch is a whole number"),
        ({"variables": ["A=1"]}, "variables are names"),
        ({"gpus": None}, "gpus is text"),
    ],
)
def test_what_a_script_does_not_say_is_of_its_kind(options: dict[str, Any], says: str) -> None:
    """Never taken as it comes."""
    script = ROOT / "docs" / "examples" / "train_13b.sh"
    with pytest.raises(PlannerError, match=says):
        planner.check(script, **{"gpus": "2x8xA100"} | options)
    assert (
        planner.check(script, "2x8xA100", margin=0.08).to_dict()
        == planner.check(script, "2x8xA100", margin="8%").to_dict()
    )


def test_what_is_said_to_come_next_asks_the_same() -> None:
    """The command has the options that Python was given."""
    said = str(planner.recommend("llama3-8b", "8xH100", tp=[1, 2], fp8_param_gather=False, exact=True))
    assert "planner explain --plan 1 --model llama3-8b --gpus 8xH100 --tp 1,2 --exact" in said
