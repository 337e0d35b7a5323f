"""torchtitan 0.2's reader of TOML and its pipelining, question by question.

text, world -> a verdict; `config["layers"]` are the layers of each model part of each pipeline rank, and
               `config["parameters"]` what the rank holds of them, in shards
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from tests.frameworks.megatron_path import hollow_triton
from tests.frameworks.serve import Answer, serve, stage


def check(question: Answer) -> Answer:
    """All that a script prepares for every pipeline rank, on the meta device, over a fake process group."""
    from torchtitan.protocols.train_spec import get_train_spec

    with stage("parse"):
        config = read(question["text"])
    with stage("dims"):
        dims = dimensions(config.parallelism, question["world"])
    found = {"dp_shard": dims.dp_shard}
    found |= {"gradient_accumulation_steps": accumulation(config.training, dims.dp_replicate * dims.dp_shard)}
    with stage("model"):
        spec = get_train_spec(config.model.name)
        shape = spec.model_args[config.model.flavor]
        shape.update_from_config(config)
    with stage("pipeline" if dims.pp > 1 else "parallelize"):
        ranks = [held(rank, question["world"], config, spec, shape) for rank in range(dims.pp)]
    found |= {"layers": [[len(part.layers) for part in parts] for parts in ranks]}
    found |= {"parameters": [[local(part) for part in parts] for parts in ranks]}
    return {"ok": True, "args": dataclasses.asdict(config), "config": found}


def dimensions(degrees: Any, world: int) -> Any:
    """As the trainer makes them (train.py)."""
    from torchtitan.distributed import ParallelDims

    return ParallelDims(
        dp_shard=degrees.data_parallel_shard_degree,
        dp_replicate=degrees.data_parallel_replicate_degree,
        cp=degrees.context_parallel_degree,
        tp=degrees.tensor_parallel_degree,
        pp=degrees.pipeline_parallel_degree,
        ep=degrees.expert_parallel_degree,
        etp=degrees.expert_tensor_parallel_degree,
        world_size=world,
    )


def local(part: Any) -> int:
    """Parameters that a rank holds."""
    return sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in part.parameters())


def read(text: str) -> Any:
    """As `--job.config_file` is read."""
    from torchtitan.config import ConfigManager

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.toml"
        file.write_text(text, encoding="utf-8")
        return ConfigManager().parse_args([f"--job.config_file={file}"])


def accumulation(training: Any, ranks: int) -> int:
    """Gradient accumulation steps: the check that is written out in the trainer's constructor (train.py)."""
    with stage("batch"):
        local = training.local_batch_size * ranks
        total = training.global_batch_size if training.global_batch_size >= 0 else local
        if total <= 0 or total % local:
            raise ValueError(f"global batch size {total} is no multiple of {local}")
    return int(total // local)


def held(rank: int, world: int, config: Any, spec: Any, shape: Any) -> list[Any]:
    """Model parts of one pipeline rank, with everything applied to them: tensor parallelism, recomputation, FSDP."""
    import torch
    from torch.testing._internal.distributed.fake_pg import FakeStore

    pp = config.parallelism.pipeline_parallel_degree
    torch.distributed.init_process_group("fake", rank=rank * (world // pp), world_size=world, store=FakeStore())
    try:
        with mock.patch("torchtitan.distributed.parallel_dims.device_type", "cpu"), torch.device("meta"):
            dims = dimensions(config.parallelism, world)
            dims.build_mesh()
            model = spec.model_cls(shape)
            if pp == 1:
                return [spec.parallelize_fn(model, dims, config)]
            loss = torch.nn.functional.cross_entropy
            parts = (model, dims, config, torch.device("cpu"), shape, spec.parallelize_fn, loss)
            _, made, *_ = spec.pipelining_fn(*parts)
            return list(made)
    finally:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ["LOCAL_RANK"] = "0"
    hollow_triton()
    serve(check)
