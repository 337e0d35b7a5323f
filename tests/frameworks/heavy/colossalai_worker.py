"""ColossalAI's HybridParallelPlugin, question by question.

arguments | text, world, layers -> a verdict; `text` is a module with a function `plugin()`; `config["layers"]` are the
                                   layers of each stage where there is a pipeline and `layers` is not 0
"""

from __future__ import annotations

from typing import Any

from tests.frameworks.megatron_path import hollow_triton
from tests.frameworks.serve import Answer, serve, stage

READ = ("tp_size", "pp_size", "dp_size", "sp_size", "zero_stage", "precision", "pp_style", "sequence_parallelism_mode")


def check(question: Answer) -> Answer:
    """The plugin as rank 0 of a fake process group builds it."""
    import torch
    from torch.testing._internal.distributed.fake_pg import FakeStore

    world = question["world"]
    torch.distributed.init_process_group("fake", rank=0, world_size=world, store=FakeStore())
    try:
        with stage("plugin"):
            plugin = made(question)
        with stage("layers"):
            layers = distributed(plugin, question["layers"])
        found = {name: getattr(plugin, name) for name in READ if hasattr(plugin, name)}
        scheduler = getattr(plugin, "scheduler", getattr(plugin, "schedule", None))
        named = {"scheduler": type(scheduler).__name__} if scheduler is not None else {}
        counted = getattr(scheduler, "num_microbatches", getattr(scheduler, "num_microbatch", None))
        batches = {"num_microbatches": counted}
        return {"ok": True, "args": found | named | batches, "config": {"layers": layers}}
    finally:
        torch.distributed.destroy_process_group()


def made(question: Answer) -> Any:
    """Of arguments, or by the module's own function."""
    from colossalai.booster.plugin import HybridParallelPlugin

    if "text" not in question:
        return HybridParallelPlugin(**question["arguments"])
    names: dict[str, Any] = {}
    exec(compile(question["text"], "plan.py", "exec"), names)
    return names["plugin"]()


def distributed(plugin: Any, layers: int) -> list[int]:
    """Layers per stage, all ranks' first chunks first."""
    manager = getattr(plugin, "stage_manager", None)
    return [int(count) for count in manager.distribute_layers(layers)] if manager is not None and layers else []


if __name__ == "__main__":
    hollow_triton()
    serve(check)
