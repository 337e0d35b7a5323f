"""DeepSpeed's configuration, engine and pipeline schedule, question by question.

config      config, dp_world           -> a verdict; refused at "unread" if a key would be silently ignored
initialize  config, stages, dp_world, tp  -> a verdict of `deepspeed.initialize` with a small PipelineModule (or a plain
                                          module where stages is 0), over a fake process group
schedule    micro_batches, stages      -> operations of every stage
keys                                   -> every key of the JSON that a pydantic model reads, and its default
launcher    arguments, hostfile        -> the `deepspeed` command's own parser, and the hosts it reads
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.frameworks.serve import Answer, serve, stage

STRICT = {"zero_optimization", "bf16", "fp16", "tensor_parallel", "compile", "comms_logger", "hybrid_engine", "timers"}
STRICT |= {"tensorboard", "wandb", "csv_monitor", "comet"}
"""Sections whose unknown keys DeepSpeed refuses by itself (pydantic models that forbid extra fields)."""

OPEN = {"optimizer.params", "scheduler.params"}
"""Handed on as keyword arguments."""

ELSEWHERE = {"sequence_parallel_size"}
"""Read where there is no mpu, or by the engine."""


class Watched(dict[str, Any]):
    """A configuration that notes which of its keys were asked for."""

    def __init__(self, content: Mapping[str, Any], path: str = "") -> None:
        super().__init__({key: watched(value, f"{path}{key}") for key, value in content.items()})
        self.path, self.read = path, set[str]()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        self.read.add(key)
        return super().pop(key, *default)

    def __copy__(self) -> Watched:
        return self

    def unread(self) -> list[str]:
        """Dotted names of keys that nobody asked for."""
        names = [self.path + key for key in self if key not in self.read and self.path + key not in ELSEWHERE]
        inner = [part.unread() for key, part in self.items() if key in self.read and isinstance(part, Watched)]
        return names + [name for part in inner for name in part]


def watched(value: Any, path: str) -> Any:
    """Sections that are looked into key by key; the others as they are."""
    looked_into = isinstance(value, dict) and path.split(".")[0] not in STRICT and path not in OPEN
    return Watched(value, path + ".") if looked_into else value


def config(question: Answer) -> Answer:
    """What DeepSpeedConfig makes of a dictionary on so many data parallel ranks."""
    from deepspeed.runtime import config as module

    given = {key: value for key, value in question["config"].items() if key != "pipeline"}
    pipeline = question["config"].get("pipeline", {})
    world = question["dp_world"]
    mpu = SimpleNamespace(get_data_parallel_world_size=lambda: world)
    dist = SimpleNamespace(get_rank=lambda: 0, get_world_size=lambda *_: world)
    seen = Watched(copy.deepcopy(given))
    with stage("config"), mock.patch.object(module, "dist", dist):
        made = module.DeepSpeedConfig(seen, mpu=mpu)
    with stage("unread"):
        known = module.get_pipeline_config({})
        left = seen.unread() + [f"pipeline.{key}" for key in pipeline if key not in known]
        if left:
            raise KeyError(f"silently ignored: {', '.join(left)}")
    with stage("optimizer"):
        optimizer_of(question["config"])
    names = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    values = {name: getattr(made, name) for name in (*names, "world_size", "zero_optimization_stage")}
    return {"ok": True, "args": values, "config": {"zero_optimization": made.zero_config.model_dump()}}


MODELS = {
    "zero_optimization": ("zero.config", "DeepSpeedZeroConfig"),
    "zero_optimization.offload_param": ("zero.offload_config", "DeepSpeedZeroOffloadParamConfig"),
    "zero_optimization.offload_optimizer": ("zero.offload_config", "DeepSpeedZeroOffloadOptimizerConfig"),
    "bf16": ("precision_config", "DeepSpeedBF16Config"),
    "fp16": ("precision_config", "DeepSpeedFP16Config"),
    "tensor_parallel": ("tensor_parallel.config", "TPTrainingConfig"),
    "hybrid_engine": ("config", "HybridEngineConfig"),
    "compile": ("compile", "CompileConfig"),
}
"""Sections of the JSON, and the classes under deepspeed.runtime that read them."""


def keys(_: Answer) -> Answer:
    """Dotted names, by alias where there is one; a section or a list has no default."""
    from importlib import import_module

    found: dict[str, str] = {}
    for section, (module, name) in MODELS.items():
        where = "deepspeed.compile.config" if module == "compile" else f"deepspeed.runtime.{module}"
        for key, one in getattr(import_module(where), name).model_fields.items():
            plain = isinstance(one.default, bool | int | float | str)
            value = int(one.default) if type(one.default).__name__ == "pp_int" else one.default
            found[f"{section}.{one.alias or key}"] = str(value) if plain else ""
    return {"ok": True, "keys": found}


def optimizer_of(given: Mapping[str, Any]) -> Any:
    """torch's optimizer for DeepSpeed's (whose kernels want a compiler); its parameters must be ones that exist."""
    import torch

    section = given.get("optimizer", {})
    found = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "adagrad": torch.optim.Adagrad,
    }
    kind = section.get("type", "AdamW").lower()
    if kind not in found:
        return torch.optim.AdamW
    own = {"torch_adam", "adam_w_mode"}
    params = {key: value for key, value in section.get("params", {}).items() if key not in own}
    inspect.signature(found[kind]).bind([], **params)
    return lambda weights: found[kind](weights, **params)


def initialize(question: Answer) -> Answer:
    """Whether an engine can be built; gradients and steps are not run."""
    import deepspeed
    import torch
    from deepspeed.pipe import LayerSpec, PipelineModule
    from deepspeed.runtime.pipe.topology import PipeModelDataParallelTopology
    from torch.testing._internal.distributed.fake_pg import FakeStore

    stages, dp, tp = question["stages"], question["dp_world"], question["tp"]
    world = max(1, stages) * dp * tp
    given = {key: value for key, value in question["config"].items() if key not in ("optimizer", "scheduler")}
    os.environ.update(LOCAL_RANK="0", RANK="0", WORLD_SIZE=str(world), MASTER_ADDR="localhost", MASTER_PORT="29500")
    torch.distributed.init_process_group("fake", rank=0, world_size=world, store=FakeStore())
    try:
        with stage("initialize"):
            deepspeed.init_distributed("gloo")
            optimizer = optimizer_of(question["config"])
            if stages:
                layers = [LayerSpec(torch.nn.Linear, 8, 8) for _ in range(4 * stages)]
                topology = PipeModelDataParallelTopology(num_pp=stages, num_mp=tp, num_dp=dp)
                model: Any = PipelineModule(layers, topology=topology, loss_fn=torch.nn.functional.mse_loss)
            else:
                model = torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(4)))
            weights = optimizer(list(model.parameters()))
            engine, *_ = deepspeed.initialize(model=model, optimizer=weights, config=given)
            names = {"zero": engine.zero_optimization_stage(), "micro_batches": engine.gradient_accumulation_steps()}
            return {"ok": True, "args": names | {"engine": type(engine).__name__, "dp_world": engine.dp_world_size}}
    finally:
        deepspeed.comm.destroy_process_group()


def schedule(question: Answer) -> Answer:
    """TrainSchedule's operations; micro-batches are numbered as they come."""
    from deepspeed.runtime.pipe.schedule import BackwardPass, ForwardPass, TrainSchedule

    m, p = question["micro_batches"], question["stages"]
    rows: list[list[tuple[str, int]]] = []
    buffers = []
    for number in range(p):
        made = TrainSchedule(micro_batches=m, stages=p, stage_id=number)
        count = {"F": 0, "B": 0}
        row = []
        for done in (one for step in made.steps() for one in step):
            kind = "F" if isinstance(done, ForwardPass) else "B" if isinstance(done, BackwardPass) else None
            if kind:
                row.append((kind, count[kind]))
                count[kind] += 1
        rows.append(row)
        buffers.append(made.num_pipe_buffers())
    return {"ok": True, "rows": rows, "buffers": buffers}


def launcher(question: Answer) -> Answer:
    """Command line and host file."""
    from deepspeed.launcher import runner

    with stage("parse"):
        args = runner.parse_args(question["arguments"])
    with stage("hosts"):
        hosts = runner._parse_hostfile(question["hostfile"].splitlines(keepends=True))
        chosen = runner.parse_resource_filter(
            {host: list(range(slots)) for host, slots in hosts.items()}, args.include, args.exclude
        )
    return {"ok": True, "args": vars(args) | {"hosts": {host: len(slots) for host, slots in chosen.items()}}}


OPERATIONS = {"config": config, "keys": keys, "initialize": initialize, "schedule": schedule, "launcher": launcher}

if __name__ == "__main__":
    serve(lambda question: OPERATIONS[question["op"]](question))
