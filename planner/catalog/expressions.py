"""Packaged tables whose conditions and values are expressions in Python; tests/test_tables.py reads every one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import CodeType
from typing import Any


@cache
def _compiled(condition: str) -> CodeType:
    return compile(condition, "a packaged table", "eval")


PLAIN = {"bool": bool, "int": int, "len": len, "max": max, "min": min, "str": str}
"""Functions of Python that a table may use."""


def told(condition: str, words: dict[str, Any]) -> Any:
    """A condition, or a value, of a packaged table: Python's operators between names that `words` has."""
    return eval(_compiled(condition), {"__builtins__": PLAIN}, words)


def rows(said: Any, words: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values of a part of a table, in its order, without those that come out as None.

    A text is an expression; a mapping a section of its own, or behind "**" names and values to be put in; a list has
    groups of rows. A group, and a section, stand where their `if` holds.
    """
    for group in said if isinstance(said, list) else [said]:
        for name, value in group.items() if told(group.get("if", "True"), words) else ():
            if isinstance(value, dict) and not told(value.get("if", "True"), words):
                continue
            found = told(value, words) if isinstance(value, str) else value
            found = dict(rows(value, words)) if isinstance(value, dict) else found
            if name == "**":
                yield from found.items()
            elif name != "if" and found is not None:
                yield name, found
