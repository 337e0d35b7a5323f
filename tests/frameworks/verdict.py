"""What a framework says of one configuration, and what happens to a test whose framework is absent."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest


@dataclass(frozen=True)
class Verdict:
    """Accepted or not; where and why not; what the framework made of it."""

    ok: bool
    stage: str = ""
    """Where it was refused: "parse", "validate", "config", ..."""
    kind: str = ""
    """Name of the exception."""
    error: str = ""
    """The message, on one line."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """Values as the framework reads them."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the framework's own configuration object, where it has a second one."""

    def refused(self, words: str, stage: str | None = None) -> bool:
        """Whether it was refused in these words (any case), at this stage."""
        return not self.ok and words.lower() in self.error.lower() and stage in (None, self.stage)


def required() -> bool:
    """Whether an absent framework is a failure (as in CI)."""
    return os.environ.get("PLANNER_REQUIRE_FRAMEWORKS") == "1"


def absent(what: str) -> NoReturn:
    """End the test: skipped, or failed where frameworks are required."""
    if required():
        pytest.fail(f"{what} is not there and PLANNER_REQUIRE_FRAMEWORKS=1")
    pytest.skip(f"{what} is not there")


def installed(module: str) -> bool:
    """Whether a module can be found, without importing it (its parents are)."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def need(*modules: str) -> None:
    """End the test if one of the modules is not installed."""
    for module in modules:
        if not installed(module):
            absent(module)
