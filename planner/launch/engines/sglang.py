"""SGLang: `python -m sglang.launch_server` and `python -m sglang.benchmark.serving`.

Names: sgl-project/sglang 0.5.23, python/sglang/srt/arg_groups/fields/*.py and benchmark/serving.py. Both parsers of the
0.5.23 wheel were built on a machine without a GPU (modules with kernels replaced by empty ones) and took every command
that the tests write. Its tp is the width of a stage; attention is split over tp / attn-dp ranks of it.
"""

from __future__ import annotations

from math import ceil

from planner.launch.engines import target
from planner.launch.engines.deployment import Deployment
from planner.launch.engines.target import MODEL, USERS, Bench, Server, ServingTarget, option, spelled
from planner.launch.program import Flag
from planner.serving.memory import activation_bytes

ONLINE = {"fp8": "fp8"}
"""--quantization by weight format (arg_groups/choices.py)."""

NAMED = {"w8a8": "w8a8_int8"}
"""The same of checkpoints whose kernels it does not choose by itself (docs/advanced_features/quantization.md)."""

KV = {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}
"""--kv-cache-dtype; a 16-bit cache is "auto", as the activations."""


def server(d: Deployment) -> Server:
    """One replica. Chunk and running requests are of all copies of the attention: SGLang divides them itself."""
    plan, engine = d.plan, d.job.engine
    degrees = f"--model-path {MODEL} --tp-size {d.width} --pp-size {plan.pp}"
    degrees += f" --ep-size {plan.ep}" if plan.ep > 1 else ""
    degrees += f" --attn-dp-size {d.copies}" if d.copies > 1 else ""
    limits = f"--context-length {d.length} --max-running-requests {d.seats_per_copy * d.copies}"
    limits += f" --cuda-graph-max-bs-decode {ceil(d.seats_per_copy / plan.pp)} --chunked-prefill-size {d.chunk}"
    limits += " --enable-mixed-chunk" if engine.mixed else ""
    limits += f" --mem-fraction-static {static_share(d):g}"
    flags = [*spelled(degrees), *formats(d), *spelled(limits), *nodes(d)]
    return Server(("python", "-m", "sglang.launch_server"), tuple(flags))


def static_share(d: Deployment) -> float:
    """Share of the memory for weights and cache: what the engine's own rule leaves, or the preset's."""
    whole, engine = d.job.cluster.accelerator.memory, d.job.engine
    aside = float(activation_bytes(d.job, d.plan)) if engine.aside is not None else 0.0
    return round(engine.utilisation - aside / whole, 3)


def formats(d: Deployment) -> list[Flag]:
    """Activations, weights that are quantised while they are loaded, KV cache."""
    w = d.job.workload
    named = NAMED | (ONLINE if d.narrowed else {})
    weights = f"--quantization {named[w.weights]}" if w.weights in named else ""
    return spelled(f"--dtype {d.dtype} {weights} --kv-cache-dtype {KV.get(w.kv, 'auto')}")


def nodes(d: Deployment) -> list[Flag]:
    """A replica over several nodes."""
    if d.nodes == 1:
        return []
    return spelled(f'--nnodes {d.nodes} --node-rank "$NODE_RANK" --dist-init-addr "$MASTER_ADDR:20000"')


def bench(d: Deployment) -> Bench:
    """Prompts of random tokens, of one length (a range ratio of 1); generated ones where a prefix is cached."""
    backend = "sglang-oai-chat" if d.job.workload.images else "sglang"
    return Bench(("python", "-m", "sglang.benchmark.serving"), target.measuring(backend, prompts(d), d))


def prompts(d: Deployment) -> list[Flag]:
    """Lengths of prompts and answers; sent as token ids, so that the lengths hold."""
    w = d.job.workload
    if w.images:
        seen = f"--image-count {w.images} --image-resolution {w.image_size}x{w.image_size}"
        lengths = f"--random-input-len {d.text} --random-output-len {w.output} --random-range-ratio 1"
        return spelled(f"--dataset-name image {seen} {lengths}")
    if not w.prefix:
        lengths = f"--random-input-len {w.input} --random-output-len {w.output} --random-range-ratio 1"
        return spelled(f"--dataset-name random-ids --tokenize-prompt {lengths}")
    number = option("--gsp-prompts-per-group", d.prompts if d.rates else USERS)
    lengths = f"--gsp-system-prompt-len {w.prefix} --gsp-question-len {w.fresh} --gsp-output-len {w.output}"
    shared = spelled("--dataset-name generated-shared-prefix --tokenize-prompt --gsp-num-groups 1")
    return [*shared, number, *spelled(f"{lengths} --gsp-range-ratio 1")]


TARGET = ServingTarget("sglang", "SGLang", "0.5.23 (its parsers)", ONLINE, target.rules_of("sglang"), server, bench)
