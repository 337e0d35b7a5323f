"""The worker's side: read questions, answer them, keep a framework's prints, exits and environment to itself."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

Answer = dict[str, Any]

LONGEST = 1000
"""Characters of a message."""


class RefusedError(Exception):
    """A framework's refusal, with the stage it happened at."""

    def __init__(self, stage: str, cause: BaseException, printed: str) -> None:
        super().__init__(stage)
        self.answer: Answer = {"ok": False, "stage": stage, "kind": type(cause).__name__}
        self.answer["error"] = reason(cause, printed)


def reason(cause: BaseException, printed: str) -> str:
    """The message on one line; of an exit, the last line printed; of a bare assertion, its source.

    A pydantic error says per field what is wrong, among addresses of web pages.
    """
    for error in (cause, *cause.args):
        if callable(parts := getattr(error, "errors", None)):
            return "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in parts())
    if isinstance(cause, SystemExit):
        return (printed.strip().splitlines() or [repr(cause)])[-1]
    if said := " ".join(str(cause).split()):
        return said[:LONGEST]
    frames = traceback.extract_tb(cause.__traceback__)
    return (frames[-1].line if frames else None) or repr(cause)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Whatever ends this block early is a refusal at this stage."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    except (Exception, SystemExit) as cause:
        raise RefusedError(name, cause, printed.getvalue()) from cause


@contextlib.contextmanager
def environment(added: Mapping[str, str]) -> Iterator[None]:
    """These variables for the time of the block; whatever the block sets is undone."""
    before = dict(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def command_line(*arguments: str) -> Iterator[None]:
    """sys.argv for the time of the block."""
    before = sys.argv
    sys.argv = ["program", *arguments]
    try:
        yield
    finally:
        sys.argv = before


def plain(value: Any) -> Any:
    """A value as JSON can carry it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(part) for part in value]
    return plain(value.value) if isinstance(value, Enum) else str(value)


def serve(answer: Callable[[Answer], Answer]) -> None:
    """Answer every line of stdin. What the framework prints to stdout goes to stderr."""
    warnings.simplefilter("ignore")
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as out:
        os.dup2(2, 1)
        for line in sys.stdin:
            try:
                found = answer(json.loads(line))
            except RefusedError as refused:
                found = refused.answer
            out.write(json.dumps(plain(found)) + "\n")
