"""Pipeline schedules: what each rank does in which order, how long it takes, and how many micro-batches a rank holds.

A schedule is data: one file with its operations, its closed forms and a SCHEDULE record, and a line in NAMES.
Those that change what the optimizer computes (`asynchronous`) enter a search only where they are asked for or listed by
name, those that do not train (`trains` false) none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from planner.plan import Plan, Truth
from planner.schedules.record import Schedule as Schedule
from planner.schedules.stages import Stage as Stage
from planner.schedules.stages import Stages as Stages
from planner.schedules.stages import Work as Work
from planner.schedules.stages import even as even
from planner.schedules.stages import uneven as uneven

NAMES = (
    "naive",
    "gpipe",
    "one_f_one_b",
    "interleaved",
    "pipedream",
    "pipedream_2bw",
    "eager_1f1b",
    "breadth_first",
    "zb_h1",
    "zb_h2",
    "zb_v",
    "v_half",
    "v_min",
    "dualpipe",
    "dualpipe_v",
    "forward_only",
    "decode",
)
"""Files of this room with a SCHEDULE, in the order in which they are listed."""

SCHEDULES: dict[str, Schedule] = {
    record.name: record for record in (import_module(f"planner.schedules.{name}").SCHEDULE for name in NAMES)
}

MEGATRON = "Megatron-LM"
"""Its two schedules are those that runs have where nobody says more: one chunk per rank, or several."""

ALL = "all"
"""In a preset: every schedule that trains, behind those that it lists by name."""


def offered(listed: Sequence[str], asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Schedules that a preset's list stands for, in order.

    ALL adds the synchronous ones, and of those that change what the optimizer computes the ones that are asked for.
    """
    named = [name for name in listed if name != ALL]
    more = [n for n, s in SCHEDULES.items() if s.trains and (n in set(asked) or not s.asynchronous)]
    return tuple(dict.fromkeys([*named, *(more if ALL in listed else ())]))


def runs(framework: str, name: str) -> bool:
    """Whether a framework has the schedule, by what the record says."""
    return framework in SCHEDULES[name].frameworks


def demanded(framework: str, plan: Plan) -> Truth:
    """Whether the plan's counts are what schedule and framework want; anything without a pipeline is."""
    schedule = SCHEDULES[plan.schedule]
    wanted, held = schedule.demands.get(framework), schedule.meets(plan.pp, plan.m, plan.v)
    return (plan.pp == 1) | (held if wanted is None else held & wanted.holds(plan.pp, plan.m, plan.v))


def run_by(framework: str, v: int = 1) -> str:
    """The framework's schedule for so many chunks per rank: its first one, for one or for as many as wanted."""
    return next(n for n, s in SCHEDULES.items() if framework in s.frameworks and s.takes(v) and not s.undivided)


def spelled(framework: str) -> dict[str, str]:
    """Schedule -> the framework's own name of it."""
    return {name: s.frameworks[framework] for name, s in SCHEDULES.items() if framework in s.frameworks}
