"""TensorRT-LLM: `trtllm-serve` with its YAML, and its benchmark_serving.

Names: NVIDIA/TensorRT-LLM tensorrt_llm/commands/serve.py at 00209af149, llmapi/llm_args.py and
serve/scripts/benchmark_serving.py at 0228a71223, read only: the package cannot be installed without NVIDIA's own
index, so no parser has seen these commands. Its tp is the width of a stage; attention data parallelism copies the
attention on every rank of it. max_batch_size is of one micro-batch and one rank.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import yaml

from planner.launch.engines import target
from planner.launch.engines.deployment import Deployment
from planner.launch.engines.target import MODEL, Bench, Server, ServingTarget, spelled
from planner.launch.program import File

CONFIG = "trtllm.yaml"


def micro_batch(d: Deployment) -> int:
    """Requests of one micro-batch on one rank: a pipeline runs as many micro-batches as it has stages."""
    return ceil(d.seats_per_copy / int(d.plan.pp))


def server(d: Deployment) -> Server:
    """One replica; over several nodes inside a Slurm allocation, whose ranks its launcher joins."""
    several = d.nodes > 1
    each = ceil(d.gpus / d.nodes)
    srun = ("srun", "--mpi=pmix", f"--nodes={d.nodes}", f"--ntasks-per-node={each}", "trtllm-llmapi-launch")
    degrees = f"--backend pytorch --tp_size {d.width} --pp_size {d.plan.pp}"
    degrees += f" --ep_size {d.plan.ep}" if d.plan.ep > 1 else ""
    degrees += f" --gpus_per_node {each}" if several else ""
    limits = f"--max_batch_size {micro_batch(d)} --max_num_tokens {d.chunk_per_copy} --max_seq_len {d.length}"
    share = f"--kv_cache_free_gpu_memory_fraction {d.job.engine.utilisation:g} --config {CONFIG}"
    flags = spelled(f"{degrees} {limits} {share}")
    command = (*(srun if several else ()), "trtllm-serve", MODEL)
    return Server(command, tuple(flags), (File(CONFIG, config(d)),), spawns=several)


def config(d: Deployment) -> str:
    """What has no option. A section here replaces the options' one whole, so the memory fraction stands here too."""
    w = d.job.workload
    kept = w.kv if w.kv in ("fp8", "nvfp4") else "auto"
    document: dict[str, Any] = {
        "dtype": d.dtype,
        "enable_attention_dp": d.copies > 1,
        "enable_chunked_prefill": True,
        "cuda_graph_config": {"max_batch_size": micro_batch(d), "enable_padding": True},
        "kv_cache_config": {"dtype": kept, "free_gpu_memory_fraction": d.job.engine.utilisation},
    }
    return yaml.safe_dump(document, sort_keys=False)


def bench(d: Deployment) -> Bench:
    """Prompts of random tokens, of one length, tokenised by the client so that the length holds, or with images."""
    w = d.job.workload
    seen = f"--random-num-images {w.images} --random-image-width {w.image_size} --random-image-height {w.image_size}"
    own, backend = (seen, target.CHAT) if w.images else ("--random-ids --tokenize-on-client", "openai")
    flags = target.measuring(backend, target.random_prompts(d, own, "random_image"), d, target.PERCENTILES)
    return Bench(("python", "-m", "tensorrt_llm.serve.scripts.benchmark_serving"), flags)


READ = "its source at 00209af149 (read, not run)"
TARGET = ServingTarget("tensorrt-llm", "TensorRT-LLM", READ, {}, target.rules_of("tensorrt-llm"), server, bench)
