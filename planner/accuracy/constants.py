"""The few numbers of profiles that measurements move, and what a job is like with them multiplied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from planner.frozen import frozen
from planner.schema.hardware import AttentionRates
from planner.training.job import Job

MOST_EFFICIENT, LEAST_EFFICIENT = 1.2, 0.01
"""Bounds of an efficiency in a profile."""

Change = Callable[[Job, float], Job]


@frozen
class Constant:
    """One number that can be fitted.

    Attributes:
        words: what it is. width: of the prior, in logarithms. change: the job with it multiplied by a factor.
    """

    name: str
    words: str
    width: float
    change: Change


def _accelerator(*names: str) -> Change:
    """Multiplies efficiencies of the accelerator."""

    def change(job: Job, factor: float) -> Job:
        accelerator = job.cluster.accelerator
        old = accelerator.efficiency
        new = old.model_copy(update={name: _share(getattr(old, name) * factor) for name in names})
        kernels = {"attention": _kernels(accelerator.attention, factor)} if "attention" in names else {}
        changed = accelerator.model_copy(update={"efficiency": new} | kernels)
        return replace(job, cluster=job.cluster.model_copy(update={"accelerator": changed}))

    return change


def _kernels(rates: AttentionRates | None, factor: float) -> AttentionRates | None:
    """Every kernel of the attention core so much faster."""
    if rates is None:
        return None
    known = {name: rate for name, rate in rates if rate is not None}
    both = ("forward", "backward")
    return rates.model_copy(
        update={
            name: rate.model_copy(update={side: _share(getattr(rate, side) * factor) for side in both})
            for name, rate in known.items()
        }
    )


def _link(name: str) -> Change:
    """Multiplies the efficiency of the scale-up link or the network, and the rate between sockets."""

    def change(job: Job, factor: float) -> Job:
        link = getattr(job.cluster, name)
        if link is None:
            return job
        sockets = {} if link.socket_rate is None else {"socket_rate": link.socket_rate * factor}
        changed = link.model_copy(update={"efficiency": _share(link.efficiency * factor)} | sockets)
        return replace(job, cluster=job.cluster.model_copy(update={name: changed}))

    return change


def _framework(*names: str) -> Change:
    """Multiplies constants of the preset."""

    def change(job: Job, factor: float) -> Job:
        update = {name: getattr(job.framework, name) * factor for name in names}
        return replace(job, framework=job.framework.model_copy(update=update))

    return change


def _share(value: float) -> float:
    return min(max(value, LEAST_EFFICIENT), MOST_EFFICIENT)


_ATTENTION = ("attention", "attention_backward")

CONSTANTS: tuple[Constant, ...] = (
    Constant("compute", "speed of all kernels", 0.11, _accelerator("gemm", *_ATTENTION, "memory")),
    Constant("attention", "attention kernel", 0.15, _accelerator(*_ATTENTION)),
    Constant("elementwise", "element-wise memory traffic", 0.45, _framework("elementwise")),
    Constant("scaleup", "link inside the node", 0.11, _link("scaleup")),
    Constant("network", "network between nodes", 0.20, _link("network")),
    Constant("host", "host time per layer", 0.60, _framework("host_layer", "host_layer_backward")),
    Constant("step", "fixed time per step", 0.31, _framework("step")),
    Constant("accumulate", "gradient accumulation traffic", 0.38, _framework("accumulate")),
)
"""In order of application. Widths: how far these constants lie apart between the sources of the measured corpus, as
root mean square logarithms. Compute, attention and the link inside: 0.04, 0.05 and 0.035 between sources on one part,
but 0.13, 0.20 and 0.15 between machines that differ (500 W H100 boxes at 0.88 of the compute of others): between the
two, compute where one run leaves a third of a 15 % slow box at most. Networks: 0.53 to 0.88 of their rate. Host, step,
accumulation and element-wise factors: between sources that share a preset, 0.64, 0.31, 0.38 and 0.45."""


def with_factors(job: Job, factors: dict[str, float]) -> Job:
    """The job with its constants multiplied, by name of CONSTANTS."""
    for constant in CONSTANTS:
        factor = factors.get(constant.name, 1.0)
        job = constant.change(job, factor) if factor != 1.0 else job
    return job
