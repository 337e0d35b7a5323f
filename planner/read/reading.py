"""What a script or configuration says, before a cluster is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from difflib import get_close_matches
from typing import Any

from planner.frozen import frozen
from planner.read.placement import Stages
from planner.read.table import NotModelled
from planner.schema.model import Model

MOST_STRANGE = 100
"""Unknown keys of a file that are named."""

SUGGESTED = 20
"""Unknown names for which a known one is looked up: each takes milliseconds."""


def did_you_mean(name: str, known: Iterable[str], cutoff: float, place: int) -> str:
    """ "did you mean x ?" for the unknown name number `place`; "" where none is near or many came before."""
    if place >= SUGGESTED or len(name) > 80:
        return ""
    near = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]} ?" if near else ""


@frozen
class Problem:
    """Why a framework refuses a script, or fails on it later.

    Attributes:
        rule: its name. line: in the script, 0 if it has none. source: where the framework finds out, and when.
    """

    rule: str
    message: str
    line: int
    source: str


@frozen
class Reading:
    """A script as the planner understands it.

    Attributes:
        target: whose script it is: a name of `planner.launch.targets`.
        model: its shape, or None where the file does not hold one.
        workload: fields of Workload that it states.
        plan: fields of Plan that it states; dp and m follow from the cluster.
        problems: checks of the framework that it fails.
        notes: what was assumed. not_modelled: options that memory, time or legality do not account for.
        preset: fields of Framework that its options set otherwise than the preset has them.
        recipe: fields of Recipe that its options set otherwise than the recipe has them.
        timed_as: the preset whose speed is its, where its options tell; "": that of the target.
        form: the format that it was read by, a name of `planner.read.format`; "" where the target has its own reader.
        keys: field of the plan -> key and value that say it in the file, or the key that would, with "".
        given: options of a command, without dashes, that are in it; none where a file has keys.
        ignored: (line, what) that could not be read.
        model_name: what the file calls its model, where it does not hold the shape.
        recomputed: share of each chunk's layers that is recomputed, where their number takes the model to know.
        stages: how a pipeline deals out layers, where that takes the model to know.
        dropout: of adapters' inputs, where it has adapters.
        open: of a file that is part of a job, an engine's or a launcher's: what its framework takes for fields that
            nobody says; None: the file is the whole job.
    """

    target: str
    model: Model | None
    workload: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[tuple[int, str], ...] = ()
    model_name: str | None = None
    recomputed: float = 0.0
    stages: Stages | None = None
    not_modelled: tuple[NotModelled, ...] = ()
    preset: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    timed_as: str = ""
    form: str = ""
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    dropout: float = 0.0
    open: dict[str, Any] | None = None

    def of_fork(self, name: str = "") -> Reading:
        """The reading with options that the framework does not have as notes instead of problems.

        Of a fork that is known they are one note: what each may change is named in the answer anyway.
        """
        own = tuple(p for p in self.problems if p.rule == "unknown_option")
        rest = tuple(p for p in self.problems if p.rule != "unknown_option")
        said = tuple(f"line {p.line}: {p.message.partition(':')[0]}: taken as your fork's own" for p in own)
        if name:
            said = (f"{len(own)} options that are {name}'s own are taken as such, as with --fork",)
        return replace(self, problems=rest, notes=(*self.notes, *said))
