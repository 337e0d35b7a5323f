"""Models with a vision tower as fine-tuners are told of them: what is trained, how large images are."""

from __future__ import annotations

from typing import Any

from planner.launch.program import Setup
from planner.schema.model import Model
from planner.training.job import Job
from planner.training.rule import Rule


def called(model: Model, names: dict[str, str]) -> str | None:
    """What a framework has for a model, by the beginnings of the catalogue's names; the longest that fits."""
    fits = [begin for begin in names if model.name.lower().startswith(begin)]
    return names[max(fits, key=len)] if fits else None


def parts(setup: Setup) -> dict[str, Any]:
    """Whether tower and projector are frozen, and pixels of an image, by `planner.read.job`; nothing for a decoder."""
    if setup.job.model.tower is None:
        return {}
    part = setup.job.workload.tower
    return {"tower": part != "trained", "projector": part == "frozen", "pixels": pixels(setup)}


def pixels(setup: Setup) -> int | None:
    """Pixels that an image may have, where the tower does not bring all to one size."""
    tower, work = setup.job.model.tower, setup.job.workload
    return work.image_size**2 if tower and work.images and tower.image is None else None


def whole_images(model: Model) -> bool:
    """Whether the projector is a part of the tower's module (transformers models/qwen2_5_vl, qwen3_vl, glm4v)."""
    return model.name.lower().startswith(("qwen", "glm"))


def decoder_alone(setup: Setup) -> tuple[str, ...]:
    """What is not written of a model that sees, though its plan counts it."""
    if setup.job.model.tower is None:
        return ()
    name = setup.job.model.name
    return (f"what is written trains the decoder of {name} alone; the plan counts its vision tower as well",)


def notes(setup: Setup) -> tuple[str, ...]:
    """What is the data's: how many images, and of which size."""
    work = setup.job.workload
    if not work.images:
        return ()
    size = "" if pixels(setup) is None else f" of {work.image_size} x {work.image_size} pixels"
    return (f"the plan counts {work.images} x one image{size} in every sequence of {work.seq} tokens: data are yours",)


def own(setup: Setup) -> tuple[str, ...]:
    """What such a program has to do about it."""
    if setup.job.model.tower is None:
        return ()
    left = {"frozen": ", and freeze tower and projector", "projector": ", and freeze the tower but not its projector"}
    said = f"load {setup.job.model.name} as an AutoModelForImageTextToText{left.get(setup.job.workload.tower, '')}"
    return (said, *notes(setup))


def named(name: str, title: str, names: dict[str, str], source: str) -> Rule:
    """A framework that has to know how a model sees."""
    return Rule(
        f"{name}_tower_model",
        lambda job, plan: job.model.tower is None or called(job.model, names) is not None,
        f"{title} has nothing that {{model}} sees with",
        source,
    )


def adapted(name: str, title: str, source: str, also: str) -> Rule:
    """Adapters of a tower: names of a decoder's layers are not those of its tower's, whose projector may have none.

    Args:
        also: "projector": adapters on the projector alone can be had; "attention": on parts of a layer, beside a tower
            that has none.
    """
    projector, attention = also == "projector", also == "attention"

    def holds(job: Job, plan: Any) -> bool:
        work = job.workload
        if job.model.tower is None or not job.lora:
            return True
        whole = work.lora_targets == "all-linear" or (attention and work.tower == "frozen")
        return whole and (projector or work.tower != "projector")

    beside = "" if projector else ", none of the projector alone"
    said = f"{title} has adapters on all linear layers of a model that sees{beside}: not {{lora_targets}}, {{tower}}"
    return Rule(f"{name}_tower_adapters", holds, said, source)
