"""Launchers' own readers of command lines and of YAML, question by question.

torchrun    arguments             -> `torch.distributed.run`, parser and launch configuration
accelerate  text, arguments, files -> `accelerate launch`, up to the environment and the plugins made of it
trainjob    text                  -> Kubeflow Trainer's TrainJob
skypilot    text                  -> SkyPilot's Task
dstack      text                  -> dstack's configuration
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.frameworks.serve import Answer, environment, serve, stage

RESERVED = {f"PET_{name}" for name in ("NNODES", "NPROC_PER_NODE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")}
"""Variables that Kubeflow's Torch plugin sets itself; its webhook refuses a job that sets them."""


def torchrun(question: Answer) -> Answer:
    """Parsed, then turned into a launch configuration."""
    from torch.distributed import run

    with stage("parse"):
        args = run.get_args_parser().parse_args(question["arguments"])
    with stage("config"):
        run.config_from_args(args)
    return {"ok": True, "args": vars(args)}


@contextlib.contextmanager
def folder(files: Mapping[str, str]) -> Iterator[Path]:
    """A working directory with these files."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        for file, text in files.items():
            (Path(name) / file).write_text(text, encoding="utf-8")
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def accelerate(question: Answer) -> Answer:
    """As `accelerate launch --config_file FILE train.py` does, without the launch."""
    from accelerate.commands import launch
    from accelerate.utils import launch as preparation

    with folder({"config.yaml": question["text"], **question["files"]}):
        with stage("parse"):
            parser = launch.launch_command_parser()
            args = parser.parse_args(["--config_file", "config.yaml", *question["arguments"], "train.py"])
            known = set(vars(args))
        with stage("validate"), no_launch(launch):
            launch.launch_command(args)
            config = launch.load_config_from_file("config.yaml")
        with stage("unread"):
            refuse_ignored(unknown_keys(config, known))
        with stage("env"), mock.patch.object(preparation, "is_port_in_use", return_value=False):
            if args.use_deepspeed:
                _, made = preparation.prepare_deepspeed_cmd_env(args)
            else:
                made = preparation.prepare_multi_gpu_env(args)
        with stage("plugins"), environment(made), one_device():
            built = plugins(args)
    return {"ok": True, "args": vars(args), "config": {"env": made} | built}


def no_launch(launch: Any) -> contextlib.AbstractContextManager[Any]:
    """Everything but the launch itself."""
    names = ("simple_launcher", "multi_gpu_launcher", "deepspeed_launcher")
    return mock.patch.multiple(launch, **dict.fromkeys(names, mock.Mock()))


@contextlib.contextmanager
def one_device() -> Iterator[None]:
    """FSDP 1's plugin asks which device is the current one."""
    with (
        mock.patch("accelerate.utils.dataclasses.is_cuda_available", return_value=True),
        mock.patch("torch.cuda.current_device", return_value=0),
    ):
        yield


def newest(package: str, *_: str) -> bool:
    """For tensor parallelism Accelerate asks for Transformers' version. Nothing else here needs that package."""
    return package == "transformers"


def unknown_keys(config: Any, known: set[str]) -> list[str]:
    """Keys of sections that `accelerate launch` has no option for."""
    prefixes = {"fsdp_config": "fsdp_", "fp8_config": "fp8_", "dynamo_config": "dynamo_"}
    found = []
    for section, content in vars(config).items():
        for key in content if isinstance(content, dict) else ():
            prefix = prefixes.get(section, "")
            if (key if key.startswith(prefix) else prefix + key) not in known:
                found.append(f"{section}.{key}")
    return found


def refuse_ignored(keys: list[str]) -> None:
    """A key that nobody reads is a mistake of whoever wrote it."""
    if keys:
        raise KeyError(f"silently ignored: {', '.join(keys)}")


def plugins(args: Any) -> dict[str, Any]:
    """What the training script's Accelerator would make of the environment."""
    from accelerate.parallelism_config import ParallelismConfig
    from accelerate.utils import DeepSpeedPlugin, DistributedType, FullyShardedDataParallelPlugin, MegatronLMPlugin

    found: dict[str, Any] = {}
    if args.use_fsdp:
        plugin = FullyShardedDataParallelPlugin()
        found["fsdp"] = {key: value for key, value in vars(plugin).items() if not callable(value)}
    if args.use_megatron_lm:
        found["megatron"] = vars(MegatronLMPlugin())
    if args.use_deepspeed:
        found["deepspeed"] = DeepSpeedPlugin().deepspeed_config
    if args.use_parallelism_config:
        with mock.patch("accelerate.utils.dataclasses.compare_versions", newest):
            sizes = ParallelismConfig()
        sizes._validate_accelerator(accelerator(args, DistributedType))
        found["parallelism"] = sizes._sizes
    return found


def accelerator(args: Any, types: Any) -> SimpleNamespace:
    """What ParallelismConfig asks the script's Accelerator."""
    plain = not (args.use_fsdp or args.use_deepspeed or args.use_megatron_lm)
    kind = types.FSDP if args.use_fsdp else types.DEEPSPEED if args.use_deepspeed else types.MULTI_GPU
    second = args.use_fsdp and int(args.fsdp_version) == 2
    return SimpleNamespace(multi_device=plain, num_processes=args.num_processes, is_fsdp2=second, distributed_type=kind)


def loaded(question: Answer) -> Any:
    """The YAML document."""
    import yaml

    with stage("yaml"):
        return yaml.safe_load(question["text"])


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Dotted names of what a reader dropped."""
    if isinstance(given, dict):
        inside = kept if isinstance(kept, dict) else {}
        gone = [f"{path}{key}" for key in given if key not in inside]
        return gone + [
            name for key in given if key in inside for name in lost(given[key], inside[key], f"{path}{key}.")
        ]
    if isinstance(given, list) and isinstance(kept, list):
        pairs = zip(given, kept, strict=False)
        return [name for number, (one, other) in enumerate(pairs) for name in lost(one, other, f"{path}{number}.")]
    return []


def trainjob(question: Answer) -> Answer:
    """Read by the published models; nothing may get lost on the way."""
    from kubeflow_trainer_api import models

    document = loaded(question)
    with stage("validate"):
        found = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind")}
        if found != {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob"}:
            raise ValueError(f"not a TrainJob: {found}")
        job = models.TrainerV1alpha1TrainJob.from_dict(document)
        kept = job.to_dict()
    with stage("unread"):
        refuse_ignored(lost(document, kept))
    with stage("webhook"):
        env = kept["spec"].get("trainer", {}).get("env", [])
        if taken := sorted({one["name"] for one in env} & RESERVED):
            raise ValueError(f"reserved variables: {', '.join(taken)}")
    return {"ok": True, "args": kept}


def skypilot(question: Answer) -> Answer:
    """Schema, resources and all; no cloud is asked."""
    with environment({"SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}):
        import sky

        document = loaded(question)
        with stage("validate"):
            task = sky.Task.from_yaml_config(document)
            return {"ok": True, "args": task.to_yaml_config()}


def dstack(question: Answer) -> Answer:
    """Read as `dstack apply` reads it."""
    from dstack._internal.core.models.configurations import parse_apply_configuration

    document = loaded(question)
    with stage("validate"):
        read = parse_apply_configuration(document)
    return {"ok": True, "args": read.model_dump(mode="json")}


OPERATIONS = {
    "torchrun": torchrun,
    "accelerate": accelerate,
    "trainjob": trainjob,
    "skypilot": skypilot,
    "dstack": dstack,
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home  # where some of them keep a database
        serve(lambda question: OPERATIONS[question["op"]](question))
