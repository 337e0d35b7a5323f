"""Run the command line inside the test process: what a shell would see."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest

from planner.cli.app import main


@dataclass(frozen=True)
class Result:
    """Exit code and both streams of one command."""

    code: int
    out: str
    err: str
    words: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


def exit_code(words: Sequence[str]) -> int:
    """What a shell would find in $? after `planner WORDS`."""
    with patch.object(sys, "argv", ["planner", *words]):
        try:
            main()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    return 0


def run(words: Sequence[str], stdin: bytes = b"") -> Result:
    """One command with streams of its own."""
    with _streams(stdin) as (out, err):
        code = exit_code(words)
    return Result(code, _written(out), _written(err), tuple(words))


class Shell:
    """`shell("recommend -m llama70b -g 8xA100")`, or with the arguments one by one."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Result:
        words = arguments[0].split() if len(arguments) == 1 else list(arguments)
        self._capsys.readouterr()
        code = exit_code(words)
        return Result(code, *self._capsys.readouterr(), tuple(words))


@contextmanager
def _streams(stdin: bytes) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with patch.object(sys, "stdin", given), patch.object(sys, "stdout", out), patch.object(sys, "stderr", err):
        yield out, err


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8")
