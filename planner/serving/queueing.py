"""From one step to what users see: time to first token, waiting, throughput."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.frozen import frozen
from planner.plan import Num, Plan
from planner.serving.estimate import DecodeStep, cycle, decode_step, encoding, loaded_step, prefill
from planner.serving.job import ServeJob, at_batch, copies, running
from planner.serving.layer import Tokens
from planner.serving.memory import most_running

ROUNDS = 40
"""Iterations of a fixed point: a number, so that one plan and many take the same path."""


@frozen
class Served:
    """What the users of a deployment see.

    Attributes:
        ttft: mean seconds from arrival to first token; tpot: mean seconds per token after it.
        running: requests that one replica runs together; offered: that are in flight there, the waiting ones included.
        requests: per second, over all replicas; step: the parts of tpot.
        encoder: of ttft, seconds that the images of a lone prompt take.
        stable: False where an open load exceeds what the replicas can serve.
    """

    ttft: Num
    tpot: Num
    running: Num
    offered: Num
    requests: Num
    step: DecodeStep
    stable: Num = True
    encoder: Num = 0.0

    @property
    def residence(self) -> Num:
        """Seconds from arrival to last token, of which (OSL - 1) steps follow the first token."""
        return self.offered / self.requests


def closed_loop(job: ServeJob, plan: Plan, in_step: bool = False) -> Served:
    """b*m users per replica, each of whom sends a request when the last one is answered.

    B = min(C, what the KV cache holds) run; the others wait. TTFT = front + prefill beside B - 1 others * (1 +
    delay(B - 1)) + C/B - 1 residences; requests = B / residence (Little's law).
    `in_step`: every request has exactly the workload's lengths, as in benchmarks without a spread of them.
    """
    users = running(plan)
    inside = np.minimum(users, np.maximum(np.floor(most_running(job, plan)), 1.0))
    return _served(job, at_batch(plan, inside), users, in_step)


def loaded(job: ServeJob, plan: Plan) -> Served:
    """The closed loop of the plan's users per replica; of fewer users in all than these the other replicas lack some.

    Times are those of the fullest replica, requests = users / residence.
    """
    served, users = closed_loop(job, plan), job.workload.users
    if users is None:
        return served
    share = np.minimum(users / (served.offered * plan.dp), 1.0)
    return replace(served, offered=share * served.offered, requests=share * served.requests)


def delay(job: ServeJob, others: Num, in_step: bool) -> Num:
    """Prefills that a first token waits for beside its own, among so many other users of a closed loop: those of all
    copies of the attention, whose steps go together.
    """
    engine = job.engine
    if not in_step:
        return engine.burst * others
    return engine.in_step * (np.sqrt(others) if engine.mixed else others)


def _served(job: ServeJob, plan: Plan, users: Num, in_step: bool) -> Served:
    """Steady state with all b*m running and `users` offered per replica; static engines run them as one batch."""
    inside, steps = running(plan), job.workload.output - 1.0
    if job.engine.scheduler == "static":
        step, first = decode_step(job, plan, job.workload.input + 0.5 * job.workload.output), prefill(job, plan, inside)
    else:
        step = loaded_step(job, plan)
        alone, others = first_token(job, plan), delay(job, inside - 1.0, in_step)
        first = alone + others * (alone if in_step else alone - shared(job, plan)) + job.engine.front
    stay = first + steps * step.total
    rate = inside / stay
    wait = users / rate - stay
    return Served(first + wait, step.total, inside, users, plan.dp * rate, step, encoder=encoding(job, plan))


def first_token(job: ServeJob, plan: Plan) -> Num:
    """Seconds of one prompt's prefill beside the other running requests."""
    return prefill(job, plan, 1.0, *_beside(job, plan))


def shared(job: ServeJob, plan: Plan) -> Num:
    """Seconds of a prompt's prefill that prompts in the same step take once: the step as one token has it, by the share
    of a chunk that the prompt leaves to others.
    """
    left = 1.0 - job.workload.fresh / job.engine.chunk
    return left * plan.pp * cycle(job, plan, Tokens(*_beside(job, plan), 1.0)).total if left > 0.0 else 0.0


def _beside(job: ServeJob, plan: Plan) -> tuple[Num, Num]:
    """Sequences that decode in a prompt's steps, and their context."""
    context = job.workload.input + 0.5 * job.workload.output
    return np.maximum(running(plan) - 1.0, 0.0) / plan.m if job.engine.mixed else 0.0, context


def open_loop(job: ServeJob, plan: Plan, rate: Num) -> Served:
    """Poisson arrivals of `rate` requests per second, spread over dp replicas.

    B = rate * residence by Little's law, a fixed point.
    """
    limit = np.maximum(np.floor(most_running(job, plan)), 1.0)
    inside = 1.0 + 0.0 * limit
    for _ in range(ROUNDS):
        inside = 0.5 * (inside + np.minimum(opened(job, plan, rate, inside).offered, limit))
    return opened(job, plan, rate, inside)


def opened(job: ServeJob, plan: Plan, rate: Num, inside: Num) -> Served:
    """What the users of an open load see while a replica runs so many requests.

    Prefills queue as M/D/1: TTFT = front + prefill * (1 + rho/(2*(1 - rho))) + half a step, rho = rate * prefill; of
    a pipeline's prefill a stage takes its part, and the first all of the images' encoder.
    Unstable where B would exceed the cache or rho reaches 1.
    """
    each, steps = rate / plan.dp, job.workload.output - 1.0
    limit = np.maximum(np.floor(most_running(job, plan)), 1.0)
    state = at_batch(plan, np.maximum(inside, 1.0))
    step, alone = loaded_step(job, state), first_token(job, state)
    seeing = encoding(job, plan)
    busy = np.minimum((each * (alone - seeing) / plan.pp + each * seeing) / copies(plan), 0.99)
    first = job.engine.front + alone * (1.0 + busy / (2.0 * (1.0 - busy))) + 0.5 * step.total
    wanted = each * (first + steps * step.total)
    stable = (wanted <= limit * 1.02) & (busy < 0.99)
    return Served(first, step.total, np.minimum(wanted, limit), wanted, rate + 0.0 * limit, step, stable, seeing)


def offline(job: ServeJob, plan: Plan, requests: float | None = None) -> Served:
    """All that a replica can run, refilled from an endless list, or from one of so many `requests`.

    An endless list gives B / residence. One of N per replica ends with a batch that empties: B*OSL/2 tokens are left,
    which OSL steps of B/2 requests make instead of OSL/2 steps of B: OSL * (step(B/2) - step(B)/2) seconds more.
    """
    inside = np.maximum(np.floor(most_running(job, plan)), 1.0)
    if requests is not None:
        inside = np.minimum(inside, np.maximum(requests / plan.dp, 1.0))
    state = at_batch(plan, inside)
    step, alone = loaded_step(job, state), first_token(job, state)
    each = inside / (alone + (job.workload.output - 1.0) * step.total)
    if requests is not None:
        count = requests / plan.dp
        each = count / (count / each + _drain(job, state))
    return Served(alone, step.total, inside, inside, plan.dp * each, step, encoder=encoding(job, plan))


def _drain(job: ServeJob, plan: Plan) -> Num:
    """Seconds that the end of a list costs beyond a full batch's rate."""
    context = job.workload.input + 0.5 * job.workload.output
    full = decode_step(job, plan, context).total
    half = decode_step(job, at_batch(plan, 0.5 * running(plan)), context).total
    return job.workload.output * (half - 0.5 * full)
