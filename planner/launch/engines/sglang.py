"""SGLang: `python -m sglang.launch_server` and `python -m sglang.benchmark.serving`.

Names: sgl-project/sglang 0.5.23, python/sglang/srt/arg_groups/fields/*.py and benchmark/serving.py. Both parsers of the
0.5.23 wheel were built on a machine without a GPU (modules with kernels replaced by empty ones) and took every command
that the tests write. Its tp is the width of a stage; attention is split over tp / attn-dp ranks of it.
"""

from __future__ import annotations

from math import ceil

from planner.launch.engines.deployment import Deployment
from planner.launch.engines.target import (
    MODEL,
    Bench,
    EngineRule,
    Server,
    ServingTarget,
    Shell,
    goodput,
    load,
    option,
    shared_rules,
)
from planner.launch.program import Flag

ONLINE = {"fp8": "fp8"}
"""--quantization by weight format (arg_groups/choices.py)."""

KV = {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}
"""--kv-cache-dtype; a 16-bit cache is "auto", as the activations."""


def server(d: Deployment) -> Server:
    """One replica. Chunk and running requests are of all copies of the attention: SGLang divides them itself."""
    plan, engine = d.plan, d.job.engine
    flags = [
        option("--model-path", MODEL),
        option("--tp-size", d.width),
        option("--pp-size", plan.pp),
        *([option("--ep-size", plan.ep)] if plan.ep > 1 else []),
        *([option("--attn-dp-size", d.copies)] if d.copies > 1 else []),
        *formats(d),
        option("--context-length", d.length),
        option("--max-running-requests", d.seats_per_copy * d.copies),
        option("--cuda-graph-max-bs-decode", ceil(d.seats_per_copy / plan.pp)),
        option("--chunked-prefill-size", d.chunk),
        *([("--enable-mixed-chunk",)] if engine.mixed else []),
        option("--mem-fraction-static", f"{engine.utilisation:g}"),
        *nodes(d),
    ]
    return Server(("python", "-m", "sglang.launch_server"), tuple(flags))


def formats(d: Deployment) -> list[Flag]:
    """Activations, weights that are quantised while they are loaded, KV cache."""
    w = d.job.workload
    weights = [option("--quantization", ONLINE[w.weights])] if d.narrowed and w.weights in ONLINE else []
    return [option("--dtype", d.dtype), *weights, option("--kv-cache-dtype", KV.get(w.kv, "auto"))]


def nodes(d: Deployment) -> list[Flag]:
    """A replica over several nodes."""
    if d.nodes == 1:
        return []
    return [
        option("--nnodes", d.nodes),
        option("--node-rank", Shell('"$NODE_RANK"')),
        option("--dist-init-addr", Shell('"$MASTER_ADDR:20000"')),
    ]


def bench(d: Deployment) -> Bench:
    """Prompts of random tokens, of one length (a range ratio of 1); generated ones where a prefix is cached."""
    flags = [
        option("--model", MODEL),
        option("--backend", "sglang"),
        option("--host", Shell('"$HOST"')),
        option("--port", Shell('"$PORT"')),
        *prompts(d),
        *load(d),
        *goodput(d),
    ]
    return Bench(("python", "-m", "sglang.benchmark.serving"), tuple(flags))


def prompts(d: Deployment) -> list[Flag]:
    """Lengths of prompts and answers; sent as token ids, so that the lengths hold."""
    w = d.job.workload
    if not w.prefix:
        return [
            option("--dataset-name", "random-ids"),
            ("--tokenize-prompt",),
            option("--random-input-len", w.input),
            option("--random-output-len", w.output),
            option("--random-range-ratio", 1),
        ]
    number = d.prompts if d.rates else Shell("$((PER_USER * users))")
    return [
        option("--dataset-name", "generated-shared-prefix"),
        ("--tokenize-prompt",),
        option("--gsp-num-groups", 1),
        option("--gsp-prompts-per-group", number),
        option("--gsp-system-prompt-len", w.prefix),
        option("--gsp-question-len", w.fresh),
        option("--gsp-output-len", w.output),
        option("--gsp-range-ratio", 1),
    ]


RULES: tuple[EngineRule, ...] = shared_rules(
    "SGLang python/sglang/srt/arg_groups/validation_hook.py", ("nvidia", "amd"), "SGLang"
)

TARGET = ServingTarget(
    "sglang", "SGLang", "0.5.23 (its parsers)", ONLINE, ("sglang-serve", "sglang-bench"), RULES, server, bench
)
