"""Pipeline schedules: what each rank does in which order, how long it takes, and how many micro-batches a rank holds.

A schedule is data: one file with its operations, its closed forms and a SCHEDULE record, and a line in SCHEDULES.
Those that change what the optimizer computes (`asynchronous`) and those that do not train (`trains` false) are in the
catalogue, but enter a search only where a framework preset lists them.
"""

from __future__ import annotations

from planner.schedules import (
    breadth_first,
    decode,
    dualpipe,
    dualpipe_v,
    eager_1f1b,
    forward_only,
    gpipe,
    interleaved,
    naive,
    one_f_one_b,
    pipedream,
    pipedream_2bw,
    v_half,
    v_min,
    zb_h1,
    zb_h2,
    zb_v,
)
from planner.schedules.record import Schedule
from planner.schedules.stages import Stage, Stages, Work, even, uneven

__all__ = ["SCHEDULES", "Schedule", "Stage", "Stages", "Work", "even", "uneven"]


SCHEDULES: dict[str, Schedule] = {
    module.SCHEDULE.name: module.SCHEDULE
    for module in (
        naive,
        gpipe,
        one_f_one_b,
        interleaved,
        pipedream,
        pipedream_2bw,
        eager_1f1b,
        breadth_first,
        zb_h1,
        zb_h2,
        zb_v,
        v_half,
        v_min,
        dualpipe,
        dualpipe_v,
        forward_only,
        decode,
    )
}
