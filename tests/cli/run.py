"""Run the command line inside the test process: what a shell would see."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from planner.cli.app import main


@dataclass(frozen=True)
class Result:
    """Exit code and both streams of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


class Shell:
    """`shell("recommend -m llama70b -g 8xA100")`, or with the arguments one by one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> Result:
        words = arguments[0].split() if len(arguments) == 1 else list(arguments)
        self._monkeypatch.setattr(sys, "argv", ["planner", *words])
        self._capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        out, err = self._capsys.readouterr()
        return Result(code, out, err)
