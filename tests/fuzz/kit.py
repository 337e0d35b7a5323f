"""A command on any words, files and bytes, and what it promises whatever they are.

`cases(few)` is the settings of a property here: a few examples, the same ones each time, in the test command; ten
thousand new ones under `pytest tests/fuzz --hypothesis-profile=fuzz`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn
from unittest.mock import patch

from hypothesis import HealthCheck, settings

from tests.cli.run import Result, run

HANG = 120
"""Seconds after which a command is said to hang: hundreds of times what any of them takes."""

SCREEN = 24
"""Lines of a screen."""

MEMORY = 500e6
"""Bytes below which every command stays."""

_WEIGHED = """
from pathlib import Path
try:
    from planner.cli.app import main
    main()
finally:
    status = Path("/proc/self/status").read_text().splitlines()
    Path({note!r}).write_text(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


class Hang(BaseException):
    """No end in sight."""


def cases(few: int) -> Callable[[Any], Any]:
    """Settings of a property: `few` fixed examples, or as many as the profile `fuzz` says."""
    many = settings.default.max_examples if settings.default is not None else 0
    fuzz = many >= settings.get_profile("fuzz").max_examples
    calm = (HealthCheck.too_slow, HealthCheck.data_too_large)
    count = many if fuzz else few
    return settings(max_examples=count, derandomize=not fuzz, deadline=None, suppress_health_check=calm, database=None)


def ask(words: Sequence[str], files: Mapping[str, bytes | str] = {}, stdin: bytes = b"") -> Result:
    """`planner WORDS`, in process, in a directory that holds the files and nothing else, with no PLANNER_* set."""
    with _place(files), _alarm(words):
        return run(words, stdin)


def weigh(
    words: Sequence[str],
    files: Mapping[str, bytes | str] = {},
    stdin: bytes = b"",
) -> tuple[Result, float]:
    """The same in a process of its own, and the most memory it held, in bytes."""
    with _place(files), TemporaryDirectory() as elsewhere:
        note = Path(elsewhere) / "peak"
        command = [sys.executable, "-c", _WEIGHED.format(note=str(note)), *words]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=HANG)
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode(), tuple(words))
        return result, int(note.read_text()) * 1024.0


def kept(result: Result) -> None:
    """Assert what every command promises, whatever it was given.

    An answer and exit code 0 or 1, or one screen on stderr and 2; no traceback, no "bug"; JSON that any parser reads.
    `check` gives its verdict on stdout with 2 as well, where a file is read and illegal.
    """
    assert result.code in (0, 1, 2), result
    assert "Traceback" not in result.err and "a bug in the planner" not in result.err, result
    verdict = "check" in result.words and result.out and "error:" not in result.err
    if result.code == 2 and not verdict:
        assert result.out == "" and result.err, result
        assert len(result.err.splitlines()) <= SCREEN, result
    elif "--json" in result.words and not {"--help", "-h", "--version"} & set(result.words):
        json.loads(result.out, parse_constant=_no_number)


def _no_number(text: str) -> NoReturn:
    raise AssertionError(f"{text} is no JSON")


@contextmanager
def _place(files: Mapping[str, bytes | str]) -> Iterator[None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLANNER_")}
    before = Path.cwd()
    with TemporaryDirectory() as place, patch.dict(os.environ, clean, clear=True):
        for name, content in files.items():
            path = Path(place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(before)


@contextmanager
def _alarm(words: Sequence[str]) -> Iterator[None]:
    def ring(*_: object) -> NoReturn:
        raise Hang(f"no answer after {HANG} s: {' '.join(words)}")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
