"""Where the bytes of one serving rank go, and how many tokens its KV cache holds."""

from __future__ import annotations

import numpy as np

from planner.architecture import attention_gemms, kept_context, kv_elements, mean_ffn, mlp_gemms, moe_gemms, moe_layers
from planner.blocks.counts import parameters
from planner.blocks.operator import Product as Gemm
from planner.frozen import frozen
from planner.parts import Sum
from planner.plan import Num, Plan
from planner.serving.job import ServeJob, copies, running, width
from planner.serving.layer import by_class


@frozen
class ServeMemory(Sum):
    """Bytes on one rank; the parts sum to `total`.

    Attributes:
        weights: of its layers, and its share of embedding and LM head; kv: of the requests that it runs.
        activations: of one prefill step; reserve: context, graphs, communication buffers.
    """

    weights: Num
    kv: Num
    activations: Num
    reserve: Num


def weight_bytes(job: ServeJob, plan: Plan) -> Num:
    """Weights per rank, evenly over a replica: linear layers as stored, the rest in 16 bit.

    A layer's share is its products' n*k, so that key and value heads that tp > g copies count on every rank. LLaMA-2
    70B in fp16 over 4 ranks: 138 GB / 4 = 34.5 GB for TP4, TP2 x PP2 and PP4 alike.
    """
    model, share = job.model, moe_layers(job.model) / job.model.layers
    layer = job.stored("attention") * _elements(attention_gemms(model, 1.0, plan.tp))
    if share < 1:
        layer = layer + (1.0 - share) * job.stored("mlp") * _elements(mlp_gemms(model, 1.0, plan.tp, model.ffn))
    if share > 0:
        layer = layer + share * _expert_bytes(job, plan)
    whole = parameters(model)
    ends = 2.0 * (whole.embedding + whole.head + whole.norms) / (plan.tp * plan.pp)
    return model.layers * layer / plan.pp + ends


def _elements(gemms: dict[str, Gemm]) -> Num:
    return sum(gemm.n * gemm.k * gemm.count for gemm in gemms.values())


def _expert_bytes(job: ServeJob, plan: Plan) -> Num:
    """Weights of one MoE layer on one rank."""
    routed = by_class(moe_gemms(job.model, 1.0, width(plan) / plan.ep, plan.ep))["experts"]
    classes = by_class(moe_gemms(job.model, 1.0, plan.tp, 1.0)) | {"experts": routed}
    return sum(job.stored(module) * _elements(gemms) for module, gemms in classes.items())


def token_bytes(job: ServeJob, plan: Plan) -> Num:
    """KV bytes that one token of context leaves on one rank: elements * bytes * layers/pp.

    LLaMA-2 70B in fp16, tp = 4: 512 * 2 * 80 = 81,920 bytes.
    """
    return kv_elements(job.model, plan.tp) * job.cached * job.model.layers / plan.pp


def activation_bytes(job: ServeJob, plan: Plan) -> Num:
    """Working space of one prefill step of `chunk` tokens: residual, norm and both feed-forward activations, 16 bit."""
    rows = np.minimum(float(job.engine.chunk), job.model.context)
    return 2.0 * rows * (3.0 * job.model.hidden + 3.0 * mean_ffn(job.model) / plan.tp)


def cache_bytes(job: ServeJob, plan: Plan) -> Num:
    """Bytes left for keys and values on one rank; negative where the weights alone do not fit.

    utilisation * memory - fixed, or utilisation * (memory - fixed), as the engine defines its share.
    """
    fixed = weight_bytes(job, plan) + activation_bytes(job, plan) + job.engine.reserve
    whole, share = job.cluster.accelerator.memory, job.engine.utilisation
    return share * (whole - fixed) if job.engine.utilisation_of == "free" else share * whole - fixed


def kv_tokens(job: ServeJob, plan: Plan) -> Num:
    """Tokens of context that one replica's cache holds.

    Check: LLaMA-2 70B in fp16 on 4 x A100-40GB holds about 14 thousand; measured between 8 and 16 thousand (vLLM).
    """
    return np.maximum(cache_bytes(job, plan), 0.0) / token_bytes(job, plan) * copies(plan)


def request_tokens(job: ServeJob) -> float:
    """Tokens of cache that one running request occupies: its final length, or half way there where engines evict.

    A cached prefix is kept once, not per request; windowed layers keep the window.
    """
    w = job.workload
    reached = w.fresh + (0.5 if job.engine.evicts else 1.0) * w.output
    return float(kept_context(job.model, reached))


def most_running(job: ServeJob, plan: Plan) -> Num:
    """Requests that one replica can run together: by KV cache, at most the engine's limit; less than 1: none.

    Every copy of the attention has a scheduler with a limit of its own (TensorRT-LLM: max_batch_size per rank).
    """
    free = kv_tokens(job, plan) - copies(plan) * job.workload.prefix
    by_cache = np.maximum(free, 0.0) / request_tokens(job)
    return np.minimum(by_cache, job.engine.most * copies(plan))


def memory(job: ServeJob, plan: Plan) -> ServeMemory:
    """Bytes per rank with the plan's requests in flight."""
    tokens = (running(plan) * request_tokens(job) / copies(plan)) + job.workload.prefix
    return ServeMemory(
        weights=weight_bytes(job, plan),
        kv=tokens * token_bytes(job, plan),
        activations=activation_bytes(job, plan),
        reserve=job.engine.reserve,
    )
