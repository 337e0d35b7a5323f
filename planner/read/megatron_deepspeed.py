"""Megatron-DeepSpeed: Megatron-LM's older names, with a DeepSpeed JSON beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from planner.catalog import yamlfile
from planner.read.deepspeed import read_deepspeed
from planner.read.megatron import read_megatron, strange_options
from planner.read.options import Option, Options
from planner.read.reading import Reading
from planner.read.table import table
from planner.schedules import run_by

NAMES = yamlfile.table("read", "megatron-names.yaml")


def read_megatron_deepspeed(
    options: Options,
    config: str | None,
    world: int,
    environment: Mapping[str, str] | None,
    vocabulary: int | None = None,
) -> Reading:
    """The plan of both: shapes and degrees are options, the ZeRO stage is in the JSON, the batch in either.

    Raises:
        PlannerError: as `read_megatron` and `read_deepspeed`.
    """
    stage = options.whole("zero-stage")
    reading = read_megatron(translated(options), world, environment, vocabulary)
    plan = reading.plan | {"zero": stage or 0, "v": 1, "schedule": run_by("DeepSpeed")}
    problems, notes, workload = (
        strange_options(options, "megatron-deepspeed"),
        list(reading.notes),
        dict(reading.workload),
    )
    named, preset = table("megatron-deepspeed").not_modelled(options.everything()), {}
    if config is None:
        notes.append("its DeepSpeed JSON is not beside it: ZeRO stage and offload are taken from the options")
    else:
        engine = read_deepspeed(config, world, plan["tp"], plan["pp"])
        plan["zero"] = engine.plan["zero"] if stage is None else stage
        workload |= {key: engine.workload[key] for key in ("offload", "optimizer") if key in engine.workload}
        problems, notes = (*problems, *engine.problems), [*notes, *engine.notes]
        named, preset = (*named, *engine.not_modelled), engine.preset
    if "cpu-optimizer" in options:
        workload["offload"] = "optimizer"
    return replace(
        reading,
        target="megatron-deepspeed",
        plan=plan,
        workload=workload,
        problems=problems,
        notes=tuple(dict.fromkeys(notes)),
        not_modelled=named,
        preset=preset,
    )


def translated(options: Options) -> Options:
    """The options under Megatron-LM's names, with what is implied said."""
    given = {NAMES["deepspeed"].get(name, name): option for name, option in options.given.items()}
    for implied, by in _implied(given):
        given.setdefault(implied, by)
    if given.get("num-experts", Option(("1",), 0)).values[:1] in (("1",), ("0",)):
        given.pop("num-experts", None)
    for virtual in ("num-layers-per-virtual-pipeline-stage", "zero-stage"):
        given.pop(virtual, None)
    if options.text("normalization") == "rmsnorm":
        given["normalization"] = Option(("RMSNorm",), options.line("normalization"))
    return Options(given, options.strange, options.stray)


def _implied(given: Mapping[str, Option]) -> list[tuple[str, Option]]:
    """Switches of Megatron-LM that follow from others here."""
    found = []
    if "num-query-groups" in given:
        found.append(("group-query-attention", Option((), given["num-query-groups"].line)))
    if "no-position-embedding" in given:
        found.append(("position-embedding-type", Option(("none",), given["no-position-embedding"].line)))
    kernel = next((kernel for switch, kernel in NAMES["flash"].items() if switch in given), "unfused")
    found.append(("attention-backend", Option((kernel,), 0)))
    checkpointed = [n for n in ("checkpoint-activations", "deepspeed-activation-checkpointing") if n in given]
    if checkpointed and "recompute-granularity" not in given and "recompute-activations" not in given:
        line = given[checkpointed[0]].line
        found += [("recompute-granularity", Option(("full",), line)), ("recompute-method", Option(("uniform",), line))]
        found.append(("recompute-num-layers", Option(("1",), line)))
    return found
