"""The time of a decode step and of a prefill, for one plan or many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.cost import collectives
from planner.formula import formula
from planner.frozen import frozen
from planner.parts import Sum
from planner.plan import Num, Plan
from planner.serving.job import ServeJob, copies, fullest, running, width
from planner.serving.layer import Tokens, encoder, stage


@frozen
class DecodeStep(Sum):
    """Seconds from one token of a request to its next; the parts sum to `total`.

    Attributes:
        weights, kv, compute, all_reduce, kernels: as in `Work`, along all stages.
        host: time that the accelerator waits for the host; p2p: sends between stages.
        prefill_share: what other requests' prefills add to the step.
    """

    weights: Num
    kv: Num
    compute: Num
    all_reduce: Num
    kernels: Num
    host: Num
    p2p: Num
    prefill_share: Num = 0.0


def _said(job: ServeJob, plan: Plan, tokens: Tokens) -> str:
    """What explanations call a step with such tokens."""
    return "mixed step" if tokens.decode and tokens.prefill else "prefill" if tokens.prefill else "decode"


@formula(_said, unit="s", scope=True)
def cycle(job: ServeJob, plan: Plan, tokens: Tokens) -> DecodeStep:
    """One micro-batch's time on one stage: its work, the host's, and the send to the next stage.

    Copies of the attention have a process each, which looks after its own requests beside the others.
    """
    engine = job.engine
    piped = engine.host if engine.host_pipeline is None else engine.host_pipeline
    host = np.where(plan.pp > 1, piped, engine.host)[()] + engine.host_request * tokens.decode / copies(plan)
    moved = job.element * tokens.all * job.model.hidden / (copies(plan) * plan.tp)
    send = np.where(plan.pp > 1, collectives.hop(job.cluster, moved, width(plan), plan.pp), 0.0)[()]
    return DecodeStep(**stage(job, plan, tokens).parts, host=host, p2p=send)


def decode_step(job: ServeJob, plan: Plan, context: Num) -> DecodeStep:
    """One token for every running request: pp cycles of the slowest stage, whatever is in flight.

    A pipeline of p stages with m = p micro-batches in flight is a closed queue: each waits for p cycles between its
    tokens, in which every stage reads its weights p times. So pipelining never shortens a decode step.
    """
    return _along(plan, cycle(job, plan, Tokens(decode=plan.b, context=context)))


def _along(plan: Plan, once: DecodeStep) -> DecodeStep:
    return DecodeStep(*(plan.pp * part for part in once.parts.values()))


@formula("a prompt's prefill", unit="s")
def prefill(job: ServeJob, plan: Plan, prompts: Num, beside: Num = 0.0, context: Num = 0.0) -> Num:
    """Seconds from the first chunk of some prompts to their first tokens: (chunks + pp - 1) cycles.

    Chunks hold at most the engine's tokens and are equal; a pipeline cuts several prompts into as many as it has
    stages. `beside` decoding sequences of a context share every chunk's step. A prompt lies in one copy of the
    attention; the others wait for it.
    """
    mine, many = fullest(plan, prompts), copies(plan)
    tokens = many * mine * job.workload.fresh
    chunks: Num = np.maximum(np.ceil(mine * job.workload.fresh / job.engine.chunk), np.minimum(plan.pp, mine))
    once = cycle(job, plan, Tokens(beside, context, tokens / chunks, prompts / mine / many))
    text = (chunks + plan.pp - 1.0) * once.total
    return text + mine * encoding(job, plan) if job.workload.images else text


@formula("image encoder", unit="s")
def encoding(job: ServeJob, plan: Plan) -> Num:
    """Seconds that the first stage's vision tower takes for the images of a prompt, before its first chunk: the sum of
    its layers, each count * operators, at the rates of a decoder's products and cores.

    What decodes beside it waits for it (vllm-project/vllm v1/worker/gpu_model_runner.py, _execute_mm_encoder).
    """
    return encoder(job, plan).total if job.workload.images else 0.0


@formula("others' prefills", unit="s")
def prefill_share(job: ServeJob, plan: Plan, context: Num, once: DecodeStep | None = None) -> Num:
    """Seconds that other requests' prefills add to one decode step of a replica.

    Every step, (B - 1)/OSL requests begin, with P = fresh*(B - 1)/OSL prompt tokens. They come in steps of
    c = max(P/m, min(fresh, chunk)) tokens, at most a chunk in every copy of the attention, P/c of them; each costs what
    a step with c prompt tokens takes beyond `once`, the one without (mixed), or a step of its own. Images of
    (B - 1)/OSL prompts, in all copies at once, hold the first stage as long as their encoder takes.
    """
    w, chunk = job.workload, copies(plan) * job.engine.chunk
    arriving = w.fresh * np.maximum(running(plan) - 1.0, 0.0) / w.output
    size: Num = np.minimum(np.maximum(arriving / plan.m, np.minimum(w.fresh, chunk)), chunk)
    if job.engine.mixed:
        alone = once or cycle(job, plan, Tokens(plan.b, context))
        added = cycle(job, plan, Tokens(plan.b, context, size)).total - alone.total
    else:
        added = cycle(job, plan, Tokens(prefill=size)).total
    text = arriving / size * added * plan.pp / plan.m
    return text + arriving / w.fresh / copies(plan) * encoding(job, plan) if w.images else text


def loaded_step(job: ServeJob, plan: Plan) -> DecodeStep:
    """A decode step of a running deployment, half way through its outputs: its total is the mean TPOT."""
    context = job.workload.input + 0.5 * job.workload.output
    once = cycle(job, plan, Tokens(decode=plan.b, context=context))
    return replace(_along(plan, once), prefill_share=prefill_share(job, plan, context, once))


def batch_latency(job: ServeJob, plan: Plan) -> Num:
    """Seconds of a static batch of b*m requests from start to last token: prefill + (OSL - 1) steps."""
    context = job.workload.input + 0.5 * job.workload.output
    first = prefill(job, plan, running(plan))
    return first + (job.workload.output - 1.0) * decode_step(job, plan, context).total
