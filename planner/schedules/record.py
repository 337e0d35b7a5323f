"""What the catalogue says of one schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import NamedTuple

from planner.frozen import frozen
from planner.plan import Num, Truth
from planner.schedules.fullest import Ranks
from planner.schedules.ops import LOOP, Op, Placement
from planner.schedules.stages import Stages


class Requirement(NamedTuple):
    """One condition of a schedule on (p, m, v), for numbers and for arrays.

    Attributes:
        name: as rules are named; holds: (p, m, v) -> bool or mask; message: with {p}, {m}, {v}.
        source: whose condition it is.
    """

    name: str
    holds: Callable[[Num, Num, Num], Truth]
    message: str
    source: str


def one_rank(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """One version of the weights, on every rank."""
    return 1.0 + 0.0 * rank


@frozen
class Schedule:
    """One pipeline schedule: its operations, and closed forms of what they come to.

    Attributes:
        name: as users write it; title: as papers do; source: the paper.
        formula: bubble time for even stages, for explanations.
        pipeline_time: (stages, m, v) -> seconds from first start to last end, without point-to-point time.
        exposed_p2p: (p, m, v, hop, blocking, exposed) -> seconds that point-to-point traffic adds.
        in_flight: (p, m, v, rank) -> micro-batches whose activations the rank holds at its peak, released at B or W.
        ops: (rank, p, m, v) -> operations in order.
        fullest: (p, m, v, first, last) -> what each of equal ranks holds at its fullest, in the units of in_flight, or
            those that stand for them; None: no separate W.
        longest_stage: (stages, m, v) -> seconds without a barrier before the update; None: the same as pipeline_time.
        placement: which stage a (rank, chunk) holds; chunks: v that it takes, or 0 for as many as wanted.
        weight_versions: (p, m, v, rank) -> copies of the rank's weights.
        requirements: conditions on (p, m, v).
        may_block: exposed_p2p knows blocking sends; the others need asynchronous ones, whatever they are asked.
        asynchronous: forward and backward see other weights than those updated: the optimizer's semantics change.
        trains: False for inference.
        frameworks: framework -> its name of the schedule, as its configuration spells it where it has one.
        demands: framework -> what it requires beyond `requirements`.
        aliases: other names that measured runs give it.
        band: 0 if the closed form equals the replay for even stages, else its largest deviation in % of the time.
        uneven: likewise where stages differ, the last by up to half of its time, or all of them by 15 %.
    """

    name: str
    title: str
    source: str
    formula: str
    pipeline_time: Callable[[Stages, Num, Num], Num]
    exposed_p2p: Callable[[Num, Num, Num, Num, bool, float], Num]
    in_flight: Callable[[Num, Num, Num, Num], Num]
    ops: Callable[[int, int, int, int], list[Op]]
    fullest: Callable[[Num, Num, Num, Num, Num], Ranks] | None = None
    longest_stage: Callable[[Stages, Num, Num], Num] | None = None
    placement: Placement = LOOP
    chunks: int = 1
    weight_versions: Callable[[Num, Num, Num, Num], Num] = one_rank
    requirements: tuple[Requirement, ...] = ()
    may_block: bool = False
    asynchronous: bool = False
    trains: bool = True
    frameworks: dict[str, str] = field(default_factory=dict)
    demands: dict[str, Requirement] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    band: float = 0.0
    uneven: float = 0.0

    def broken(self, p: int, m: int, v: int) -> Requirement | None:
        """The first requirement that a configuration does not meet, or None."""
        return next((r for r in self.requirements if not r.holds(p, m, v)), None)

    def meets(self, p: Num, m: Num, v: Num) -> Truth:
        """Whether every requirement holds: a bool, or a mask over arrays."""
        held: Truth = True
        for requirement in self.requirements:
            held = requirement.holds(p, m, v) & held
        return held

    @property
    def usual_chunks(self) -> int:
        """Chunks per rank that stand for it where nobody says how many: 2 where it takes as many as wanted."""
        return self.chunks or 2

    @property
    def undivided(self) -> bool:
        """Whether it takes one micro-batch only."""
        return not self.meets(2, 1 << 12, self.usual_chunks)

    @property
    def splits(self) -> bool:
        """Whether it runs the weight gradient apart from the input gradient."""
        return self.fullest is not None

    def takes(self, v: int) -> bool:
        """Whether it is meant for so many chunks per rank; one that takes any number is for several."""
        return v == self.chunks or (v > 1 and not self.chunks)

    def cuts(self, v: Num) -> Num:
        """Pieces that a rank's part of the model is cut into: v, or 1 where every chunk is a whole pass."""
        return 1 if self.placement.whole else v

    def copies(self, v: Num) -> Num:
        """Pipelines that share the ranks, each with its part of the micro-batches: v in DualPipe, else 1."""
        return v if self.placement.copies else 1.0

    def stashed(self, p: Num, m: Num, v: Num, rank: Num) -> Num:
        """Versions of the weights of what a rank holds; copies of the model that its chunks are count as chunks."""
        return self.weight_versions(p, m, v, rank) / self.copies(v)

    def sends(self, p: int, m: int, v: int, rank: int) -> int:
        """Boundary tensors that a rank sends to other ranks per step; it receives as many as its neighbours send it.

        Interior ranks: 2*m in 1F1B and GPipe, 2*m*v in loops, 4*m in V placements, m forward only.
        1F1B, p = 4, m = 8: 8, 16, 16, 8.
        """
        following = self.placement.next(p, v)
        forward = sum(here[0] == rank != there[0] for here, there in following.items())
        backward = sum(there[0] == rank != here[0] for here, there in following.items()) if self.trains else 0
        each = m // v if self.placement.copies else m
        return (forward + backward) * each


def one_chunk() -> Requirement:
    """The rank holds one contiguous piece of the model."""
    return Requirement("one_chunk", lambda p, m, v: v == 1, "v={v}: it has one chunk per rank", "definition")


def two_chunks(source: str) -> Requirement:
    """The rank holds exactly two chunks."""
    return Requirement("two_chunks", lambda p, m, v: v == 2, "v={v}: it has exactly two chunks per rank", source)
