"""Workers that cannot answer, and frameworks that are not there."""

from __future__ import annotations

import os

import pytest

from tests.frameworks.serve import RefusedError, environment, plain, stage
from tests.frameworks.verdict import installed, need
from tests.frameworks.worker import Worker, WorkerDied


def test_a_worker_that_dies_says_why() -> None:
    """A fault of the installation is no verdict."""
    with pytest.raises(WorkerDied, match="no_such_worker"):
        Worker("no_such_worker").ask(op="check")


def test_a_framework_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skipped, or failed where frameworks are required."""
    assert not installed("no_such_framework.at_all")
    monkeypatch.delenv("PLANNER_REQUIRE_FRAMEWORKS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no_such_framework"):
        need("json", "no_such_framework")
    monkeypatch.setenv("PLANNER_REQUIRE_FRAMEWORKS", "1")
    with pytest.raises(pytest.fail.Exception, match="no_such_framework"):
        need("json", "no_such_framework")


def test_how_a_refusal_reads() -> None:
    """One line, whatever ended the block."""

    def said(cause: BaseException) -> str:
        with pytest.raises(RefusedError) as caught, stage("parse"):
            print("usage: program\nprogram: error: no such thing")
            raise cause
        assert caught.value.answer["stage"] == "parse"
        return str(caught.value.answer["error"])

    assert said(ValueError("two\n  lines")) == "two lines"
    assert said(SystemExit(2)) == "program: error: no such thing"
    assert said(AssertionError()) == "raise cause"


def test_nothing_outlasts_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables go back to what they were."""
    monkeypatch.setenv("PLANNER_TEST", "before")
    with environment({"PLANNER_TEST": "within"}):
        os.environ["PLANNER_OTHER"] = "within"
    assert os.environ["PLANNER_TEST"] == "before"
    assert "PLANNER_OTHER" not in os.environ
    assert plain({1: (2, object)}) == {"1": [2, "<class 'object'>"]}
