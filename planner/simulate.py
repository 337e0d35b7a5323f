"""Replays one schedule's operations on a clock: who works when, who waits, what is held in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One operation as it ran.

    Attributes:
        kind: "F" forward, "B" full backward, "I" input gradient, "W" weight gradient.
        chunk: model chunk on its rank, 0..v-1; micro_batch: 0..m-1.
        start, end: seconds since the first operation of the step.
    """

    rank: int
    kind: str
    micro_batch: int
    chunk: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A replayed step: the tasks of every rank in the order they ran.

    Attributes:
        schedule: name; p, m, v: ranks, micro-batches, chunks per rank.
        held: per rank, (time, micro-batches' worth of activations held from then on) in time order.
    """

    schedule: str
    p: int
    m: int
    v: int
    tasks: tuple[tuple[Task, ...], ...]
    held: tuple[tuple[tuple[float, float], ...], ...]

    @property
    def makespan(self) -> float:
        """First start to last end over all ranks."""
        return max(task.end for row in self.tasks for task in row) - min(t.start for row in self.tasks for t in row)

    @property
    def longest_stage(self) -> float:
        """Largest (own end - own start) of a rank: the step time if steps overlap like parallelograms."""
        return max(row[-1].end - row[0].start for row in self.tasks)

    def busy(self, rank: int) -> float:
        """Seconds that a rank works."""
        return sum(task.end - task.start for task in self.tasks[rank])

    def peak(self, rank: int) -> float:
        """Largest number of micro-batches whose activations a rank holds at once."""
        return max(held for _, held in self.held[rank])
