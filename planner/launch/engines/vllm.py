"""vLLM: `vllm serve` and `vllm bench serve`.

Names: vllm-project/vllm 0.33.0, vllm/engine/arg_utils.py, entrypoints/common/cli_args.py and benchmarks/serve.py. Both
parsers of the 0.33.0 wheel were built on a machine without a GPU (CPU platform object set, only what the parsers import
installed) and took every command that the tests write.
Experts lie over all tp x data-parallel ranks of an engine or are split like any other layer; there is no degree of its
own. Where ep exceeds tp, the engine's own data parallelism makes the copies of the attention.
"""

from __future__ import annotations

import json

from planner.launch.engines import target
from planner.launch.engines.deployment import Deployment
from planner.launch.engines.target import MODEL, Bench, Server, ServingTarget, spelled
from planner.launch.program import Flag

ONLINE = {"fp8": "fp8"}
"""--quantization by weight format; int8 is made online for experts only (config/quantization.py)."""

HEADLESS = 'headless=()\n[ "$NODE_RANK" = 0 ] || headless=(--headless)\n'


def server(d: Deployment) -> Server:
    """One replica: an engine of tp x pp ranks, times copies of the attention."""
    plan, engine = d.plan, d.job.engine
    degrees = f"--tensor-parallel-size {plan.tp} --pipeline-parallel-size {plan.pp}"
    degrees += f" --data-parallel-size {d.copies}" if d.copies > 1 else ""
    degrees += " --enable-expert-parallel" if plan.ep > 1 else ""
    limits = f"--max-model-len {d.length} --max-num-seqs {d.seats_per_copy} --max-num-batched-tokens {d.chunk_per_copy}"
    limits += f" --gpu-memory-utilization {engine.utilisation:g}"
    flags = [*spelled(degrees), *formats(d), *spelled(limits), *seen(d), *nodes(d)]
    return Server(("vllm", "serve", MODEL), tuple(flags), before=(HEADLESS,) if d.nodes > 1 else ())


def formats(d: Deployment) -> list[Flag]:
    """Activations, weights that are quantised while they are loaded, KV cache ("auto": as the activations)."""
    w = d.job.workload
    weights = f"--quantization {ONLINE[w.weights]}" if d.narrowed and w.weights in ONLINE else ""
    kept = w.kv if w.kv in ("fp8", "nvfp4") else "auto"
    return spelled(f"--dtype {d.dtype} {weights} --kv-cache-dtype {kept}")


def nodes(d: Deployment) -> list[Flag]:
    """A replica over several nodes: all but the first run without a front end."""
    if d.nodes == 1:
        return []
    where = (
        f'--distributed-executor-backend mp --nnodes {d.nodes} --node-rank "$NODE_RANK" --master-addr "$MASTER_ADDR"'
    )
    return [*spelled(where), (target.Shell('"${headless[@]}"'),)]


def seen(d: Deployment) -> list[Flag]:
    """Images that room is left for; without it vLLM leaves some for the largest that the model takes, and for videos
    (vllm/config/multimodal.py, ImageDummyOptions).
    """
    w = d.job.workload
    image = {"count": w.images, "width": w.image_size, "height": w.image_size}
    return [("--limit-mm-per-prompt", json.dumps({"image": image, "video": 0}))] if w.images else []


def bench(d: Deployment) -> Bench:
    """Prompts of random tokens, of one length, and images of one size; the cached prefix is the same in all of them."""
    w = d.job.workload
    prompts, backend = target.random_prompts(d, drawn="random-mm"), target.CHAT if w.images else "vllm"
    if w.images:
        prompts += spelled(f"--random-mm-base-items-per-request {w.images}")
        prompts += [("--random-mm-limit-mm-per-prompt", json.dumps({"image": w.images, "video": 0}))]
        prompts += [("--random-mm-bucket-config", f"{{({w.image_size}, {w.image_size}, 1): 1.0}}")]
    return Bench(("vllm", "bench", "serve"), target.measuring(backend, prompts, d, target.PERCENTILES))


TARGET = ServingTarget("vllm", "vLLM", "0.33.0 (its parsers)", ONLINE, target.rules_of("vllm"), server, bench)
