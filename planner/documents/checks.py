"""Verdicts on scripts, and differences of plans."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from typing_extensions import TypedDict

from planner.documents.asked import Inputs
from planner.documents.training import Plan
from planner.documents.values import Among, Amount, Whole
from planner.read.table import TOUCHES


class Problem(TypedDict):
    """Why the framework refuses the file, or fails on it later."""

    rule: str
    message: str
    line: int | None
    source: str


class NotModelled(TypedDict):
    """An option of the file that the numbers do not account for.

    Attributes:
        value: as given; "true" of a switch.
        touches: what it may change.
    """

    option: str
    value: str
    line: int | None
    touches: Annotated[list[Annotated[str, Among(TOUCHES)]], MinLen(1)]
    why: str


class Change(TypedDict):
    """A plan that runs, or runs faster; fewest settings changed first."""

    settings: Whole
    edits: list[str]
    plan: Plan


class Ignored(TypedDict):
    """A line that changes neither memory nor time."""

    line: int | None
    why: str


class Cause(TypedDict):
    """What alone would explain the peak, or that the run ran out."""

    name: str
    meaning: str
    peak_bytes: Amount


class Suspect(TypedDict):
    """A constant that alone would explain the step time.

    Attributes:
        spreads: log of the factor over how far this constant usually lies off.
    """

    name: str
    meaning: str
    factor: float
    spreads: float


class Measured(TypedDict):
    """What was measured, against what is predicted."""

    step_time_s: float | None
    peak_memory_bytes: float | None
    outside_band: bool
    ran_out_of_memory: bool
    memory_causes: list[Cause]
    suspects: list[Suspect]


class Check(TypedDict):
    """planner check --json.

    Attributes:
        target: the framework whose file it is, as --target names it.
        legal: the framework runs it; false: exit code 2.
        fits: the fullest rank has the memory, margin included; false: exit code 1.
        margin: share of the usable memory that must stay free.
    """

    schema: Literal["planner.check/1"]
    planner_version: str
    file: str
    target: str
    inputs: Inputs
    assumptions: list[str]
    legal: bool
    fits: bool
    margin: Annotated[float, Ge(0), Le(1)]
    usable_memory_bytes: Amount
    problems: list[Problem]
    not_modelled: list[NotModelled]
    plan: Plan | None
    measured: Measured | None
    changes: list[Change]
    best: Plan | None
    ignored: list[Ignored]


class Pair(TypedDict):
    """A value of the first plan and of the second."""

    name: str
    first: Any
    second: Any


class Part(TypedDict):
    """A part of the first plan and of the second; change: second less first."""

    name: str
    first: float
    second: float
    change: float


class Diff(TypedDict):
    """planner diff --json.

    Attributes:
        asked: what was asked differently; plan: what the plans differ in.
        step_time_change: second over first, less one; step_time_band: of the first.
    """

    schema: Literal["planner.diff/1"]
    planner_version: str
    asked: list[Pair]
    plan: list[Pair]
    step_time_s: Annotated[list[Part], MinLen(1)]
    memory_bytes: Annotated[list[Part], MinLen(1)]
    step_time_change: float
    step_time_band: float | None
