"""What a layer of experts costs beside its kernels: waits for the host, and traffic that nothing hides (seconds)."""

from __future__ import annotations

from collections.abc import Iterable

from planner.blocks.operator import Share
from planner.cost.dispatch import ONE_COPY, hidden
from planner.formula import formula
from planner.plan import Num
from planner.training.job import Job


@formula("expert wait", unit="s")
def expert_wait(job: Job, share: Share) -> Num:
    """What a layer of experts takes beyond its kernels, both passes: a third of it forward.

    The host reads how many tokens each expert got before it can launch products of that size, and the device runs dry
    meanwhile; with a capacity it knows them. Kernels round the router that are not fused take their time by the token.
    A graph of the whole iteration has neither.
    """
    framework, graphs = job.framework, job.workload.graphs
    if graphs == "full":
        return 0.0
    wait = framework.expert_wait_graphs
    if graphs == "none":
        wait = framework.expert_wait_fused if share.dispatcher in ONE_COPY else framework.expert_wait
        wait = wait if job.recipe.wide else wait + framework.expert_wait_narrow
    if job.workload.capacity is not None:
        wait = 0.0
    return wait + framework.expert_token * share.tokens / share.shard


def beside(job: Job, share: Share, traffic: Num, passes: Iterable[tuple[str, Num, Num]], wait: Num) -> Num:
    """What of a pass's expert traffic is left where another micro-batch computes meanwhile and is slowed by the rest.

    `passes`: part, forward and backward seconds of each operator. While the host waits traffic runs on.
    """
    sums: list[list[Num]] = [[wait / 3.0, wait / 1.5], [0.0, 0.0]]
    for part, forward, backward in passes:
        side = sums[part == "experts"]
        side[0], side[1] = side[0] + forward, side[1] + backward
    return traffic - job.framework.expert_overlap * share.paired * hidden(traffic, *sums)
