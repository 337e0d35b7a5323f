"""The planner from Python, as notebooks and scripts use it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import planner
from planner.errors import PlannerError
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
