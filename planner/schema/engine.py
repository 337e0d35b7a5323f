"""How a serving engine runs a model: one preset per engine and generation."""

from __future__ import annotations

from typing import Literal

from planner.schema.base import Profile, Record, Text, Trust
from planner.schema.formats import WeightType
from planner.schema.framework import AttentionChoice
from planner.schema.hardware import Accelerator, Generation
from planner.schema.quantities import Bytes, Extent, Factor, Memory, PerItem, Requests, Seconds, Share, Tokens, Used

EngineTarget = Literal["vllm", "sglang", "tensorrt-llm"]


class PartDefaults(Record):
    """Defaults that an engine has on parts of some memory.

    Attributes:
        below: memory under which they hold; named: words in names of parts where they hold whatever the memory.
        chunk, tried, graphs: as in `Engine`.
    """

    below: Memory
    named: tuple[Text, ...] = ()
    chunk: Tokens
    tried: Requests = 1
    graphs: tuple[Requests, Requests] = (1, 1)


class SetAside(Record):
    """What an engine leaves free of weights and cache by rule, instead of trying a step out.

    Attributes:
        fixed: of every rank; token: per token of a chunk, of `tokens` at least; rank: per rank of a replica.
        graph: per request of the largest graph of decode steps; copy_graph: beside it for every copy of the attention
            where there are several, and half of it more where graphs exceed `many` requests.
        prefill: graphs of prompts; latent: the same where attention is latent.
        least: in all, on parts from `above` on.
    """

    fixed: Bytes
    token: Bytes
    tokens: Tokens
    graph: Bytes
    copy_graph: Bytes
    many: Requests
    rank: Bytes
    prefill: Bytes
    latent: Bytes
    least: Bytes
    above: Memory


class Engine(Profile):
    """One preset. Every number is a property of the engine's code, not of a model or a cluster.

    Attributes:
        scheduler: "continuous" admits and retires requests at every step; "static" runs one batch to its end.
        mixed: a prefill chunk and the running batch share one step; else they take turns.
        evicts: starts requests before their whole length has room, and recomputes what it must evict.
        host: host time per step that the accelerator waits for (scheduling, launching).
        host_request: added per running request (sampling, detokenising, bookkeeping).
        host_pipeline: as host per stage and micro-batch of a pipeline; absent: `host`.
        host_layer: host time to launch a layer whose attention core is in no CUDA graph, that is sinks or latents where
            `attention` names no kernel for them (Triton's runs); the accelerator waits where it is done sooner.
        kernel: fixed time per kernel; small_kernels: kernels of a layer beside matrix products and attention core.
        routing: kernels of a mixture-of-experts layer beside its products (router, sort, gather, combine).
        expert_tile: rows at which the rate of a grouped product of experts is halved, where the engine's kernel pads to
            small tiles; absent: the accelerator's `tokens`.
        quantise: kernels per quantised matrix product that scale its input, where they are not fused.
        attention: kernel of the attention core, by generation of the accelerator; absent: the usual one there.
        collective: time of a small all-reduce inside the engine over that of the kernel alone (skew, launch, waiting);
            peer: it has the kernel that reads peers' memory; else every collective is NCCL's.
        chunk: tokens of one prefill step in each copy of the attention (vLLM max_num_batched_tokens, TensorRT-LLM
            max_num_tokens).
        front: time from a request's arrival to its first step (tokenising, HTTP); burst: share of a prefill by which
            every further user of a closed loop delays a first token, as benchmarks start them together.
        in_step: the same where all requests have one length and stay in step; per further user, or, where steps are
            mixed and so pull them apart, per square root of their number.
        most: requests that run together at most, per replica.
        utilisation: share of the memory that it takes: of the "device", for everything (vLLM, SGLang), or of what
            weights and working space leave "free", for the KV cache (TensorRT-LLM).
        reserve: held by context, graphs and communication buffers; reserve_group: beside it where the ranks of a stage
            exchange anything.
        tried: requests whose sampling is tried out at start-up, before the cache takes what is left; sampled: bytes per
            logit that it takes, on every rank. buffers: generations on which experts' kernels keep two buffers of all
            rows that are sent to experts, whatever else runs.
        aside: what it leaves free by rule instead; graphs: requests of the largest graph of decode steps with less than
            four ranks in a stage, and from four on.
        parts: chunk, tried and graphs on parts, by rising memory; absent: the same on all.
        vendors: whose accelerators it is built for; without: generations of them without its kernels; absent: any.
        int8: vendors on whose accelerators it has products of int8 weights with int8 activations (W8A8).
        widens: weight formats that it widens to 16 bit inside a kernel where an NVIDIA part has no products in them.
        target: the engine whose flags `planner serve --launch` writes; absent: none has this preset's language.
    """

    scheduler: Literal["continuous", "static"]
    mixed: bool
    evicts: bool
    host: Seconds
    host_request: Seconds = 0.0
    host_pipeline: Seconds | None = None
    host_layer: Seconds = 0.0
    kernel: Seconds
    small_kernels: PerItem
    routing: PerItem = 0.0
    expert_tile: Extent | None = None
    quantise: PerItem = 0.0
    attention: AttentionChoice = AttentionChoice.model_construct()
    collective: Factor
    peer: bool = True
    chunk: Tokens
    front: Seconds
    burst: Share
    in_step: PerItem = 0.0
    most: Requests
    utilisation: Used
    utilisation_of: Literal["device", "free"] = "device"
    reserve: Bytes
    reserve_group: Bytes = 0.0
    tried: Requests = 1
    sampled: PerItem = 0.0
    buffers: tuple[Generation, ...] = ()
    aside: SetAside | None = None
    graphs: tuple[Requests, Requests] = (1, 1)
    parts: tuple[PartDefaults, ...] = ()
    vendors: tuple[Text, ...] = ()
    without: tuple[Generation, ...] = ()
    widens: tuple[WeightType, ...] = ()
    int8: tuple[Text, ...] = ()
    target: EngineTarget | None = None
    trust: Trust

    def built_for(self, accelerator: Accelerator) -> bool:
        """Whether it runs there at all."""
        return (
            accelerator.vendor in (self.vendors or (accelerator.vendor,)) and accelerator.generation not in self.without
        )

    def on(self, accelerator: Accelerator) -> Engine:
        """With the defaults that it has on a part."""
        name, memory = accelerator.name, accelerator.memory
        of = next((p for p in self.parts if memory < p.below or any(word in name for word in p.named)), None)
        return self if of is None else self.model_copy(update=of.model_dump(include={"chunk", "tried", "graphs"}))
