"""What is known beside the text that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from planner.frozen import frozen
from planner.read.tree import Beside
from planner.schema.model import Model


@frozen
class Context:
    """What is known beside the text.

    Attributes:
        world, nodes: accelerators and nodes of the cluster. vocabulary: of the model that the user named.
        variables: that the user sets. beside: text of a file next to the script, None if there is none.
        lookup: a model by what a file calls it, None where nobody knows it. seq: tokens that the user states.
    """

    world: int
    vocabulary: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    beside: Beside = lambda name: None
    nodes: int = 1
    lookup: Callable[[str], Model | None] = lambda name: None
    seq: int | None = None
