"""A DeepSpeed JSON as the part of a plan that it states: batch, ZeRO stage, precision, offload, stages, AutoTP."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from planner.catalog import yamlfile
from planner.errors import PlannerError
from planner.read.answer import read_object
from planner.read.reading import MOST_STRANGE, Problem, Reading, did_you_mean
from planner.read.table import Given, NotModelled, flat, table


@cache
def known_keys() -> frozenset[str]:
    """Keys at the top of the JSON that some part of DeepSpeed reads."""
    text = (files("planner.launch") / "options" / "deepspeed-keys.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def read_deepspeed(text: str, world: int, tp: int = 1, pp: int = 1) -> Reading:
    """What the JSON says. The model and, without the keys of AutoTP and of the pipeline, degrees come from elsewhere.

    Raises:
        PlannerError: no JSON object, or a value of a wrong kind.
    """
    config = read_object(text)
    tp = _whole(config, "tensor_parallel", "autotp_size") or tp
    pp = _whole(config, "pipeline", "stages") or pp
    notes: list[str] = []
    workload, plan = _precision(config, notes), {"tp": tp, "pp": pp, "sp": 0, "zero": _stage(config)}
    dp = max(world // (tp * pp), 1)
    batch, b = _batch(config, dp, notes)
    if batch:
        workload["global_batch"] = batch
    plan |= {"b": b} if b else {}
    problems = (*_ignored_keys(config, text), *_batch_problem(config, dp), *_section_problems(config, plan, text))
    return Reading(
        "deepspeed",
        None,
        workload,
        plan,
        problems,
        tuple(notes),
        recomputed=float(_recomputes(config)),
        not_modelled=left_out(config, text),
        preset=_gradients(config),
        open=left_open(config),
    )


TRAINER = {"b": 8, "m": 1}
"""What Transformers' Trainer takes where nothing says (training_args.py, per_device_train_batch_size)."""


def left_open(config: dict[str, Any]) -> dict[str, Any]:
    """What holds where "auto" leaves the batch to the Trainer and nothing else says it."""
    left = "auto" in map(config.get, _BATCH)
    return TRAINER | {"m": _whole(config, _BATCH[2]) or 1} if left else {}


def left_out(config: dict[str, Any], text: str) -> tuple[NotModelled, ...]:
    """Keys that the estimate does not account for; a section that is switched off says nothing.

    Communication runs beside computation with ZeRO-3, and not below, unless the file says (runtime/zero/config.py).
    """
    live = {
        key: value for key, value in config.items() if not (isinstance(value, dict) and value.get("enabled") is False)
    }
    usual = {"zero_optimization.overlap_comm": "true" if _stage(config) == 3 else "false"}
    usual |= {"activation_checkpointing.cpu_checkpointing": "true"} if _recomputes(config) else {}
    given = [
        Given(one.option, one.value, line_of(text, one.option.rpartition(".")[2]))
        for one in flat(live)
        if usual.get(one.option) != one.value
    ]
    return table("deepspeed").not_modelled(given)


def _gradients(config: dict[str, Any]) -> dict[str, Any]:
    """Bytes of the gradient buffer, where the JSON says in which format gradients add up (engine.get_data_types)."""
    size = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0}.get(str(_value(config, "data_types", "grad_accum_dtype")))
    return {"gradient_bytes": size} if size else {}


def _value(config: dict[str, Any], *path: str) -> Any:
    found: Any = config
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return None if found == "auto" else found


def _whole(config: dict[str, Any], *path: str) -> int | None:
    """A whole number, None where it is absent or "auto".

    Raises:
        PlannerError: something else.
    """
    found = _value(config, *path)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise PlannerError(f"{'.'.join(path)} wants a whole number, not {found!r:.40}")
    return found


def _stage(config: dict[str, Any]) -> int:
    stage = _whole(config, "zero_optimization", "stage") or 0
    if stage > 3:
        raise PlannerError(f"zero_optimization.stage must be 0, 1, 2 or 3, not {stage}")
    return stage


def _batch(config: dict[str, Any], dp: int, notes: list[str]) -> tuple[int | None, int | None]:
    """(B, b): DeepSpeed derives the third from two, and m = 1 from b alone (runtime/config.py)."""
    batch, b, m = (_whole(config, key) for key in _BATCH)
    if batch is None and b is not None:
        if m is None:
            notes.append("gradient_accumulation_steps is open: taken as 1")
        batch = b * (m or 1) * dp
    if b is None and batch is not None and m:
        b = batch // (m * dp)
    return batch, b


def _batch_problem(config: dict[str, Any], dp: int) -> tuple[Problem, ...]:
    """train_batch_size = micro-batch * accumulation * dp."""
    batch, b, m = (_whole(config, key) for key in _BATCH)
    if batch is None or (b is None and m is None):
        return ()
    if batch == (b or 1) * (m or 1) * dp or (None in (b, m) and batch % ((b or m or 1) * dp) == 0):
        return ()
    near = (b or 1) * (m or 1) * dp
    stated = [f"{name} {count}" for name, count in (("micro-batch", b), ("accumulation", m)) if count is not None]
    verb = "is not" if len(stated) == 2 else "is no multiple of"
    said = f"train_batch_size {batch} {verb} {' x '.join(stated)} x dp {dp}; it would be {near}"
    return (Problem("batch", said, 0, "DeepSpeed runtime/config.py"),)


_BATCH = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")


def _precision(config: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Precision, optimizer states, offload."""
    half, brain = _enabled(config, "fp16"), _enabled(config, "bf16", "bfloat16")
    if not half and not brain and "auto" not in (_raw(config, "fp16"), _raw(config, "bf16")):
        notes.append("neither bf16 nor fp16 is enabled: an fp32 run, timed and weighed as bf16")
    fields: dict[str, Any] = {"precision": "fp16" if half and not brain else "bf16"}
    if _value(config, "bf16", "bf16_optimizer_states") is True:
        fields["optimizer"] = "adam-bf16"
    device = _value(config, "zero_optimization", "offload_optimizer", "device")
    if device in ("cpu", "nvme") or _value(config, "zero_optimization", "cpu_offload") is True:
        fields["offload"] = "optimizer"
    if str(_value(config, "optimizer", "type")).lower() == "muon":
        fields["optimizer"] = "muon"
    if _value(config, "zero_optimization", "offload_param", "device") in ("cpu", "nvme") and _stage(config) == 3:
        fields["offload"] = "parameters"
    inputs = _recomputes(config) and _value(config, "activation_checkpointing", "cpu_checkpointing") is True
    if inputs and "offload" not in fields:
        fields["offload"] = "activations"
    return fields


def _enabled(config: dict[str, Any], *names: str) -> bool:
    """Whether a section is switched on, by any of its names."""
    return any(_value(config, name, "enabled") is True for name in names)


def _raw(config: dict[str, Any], name: str) -> Any:
    section = config.get(name)
    return section.get("enabled") if isinstance(section, dict) else None


def _recomputes(config: dict[str, Any]) -> bool:
    """Every layer is checkpointed: so the pipeline's interval says, or the section that configures checkpointing."""
    if _value(config, "pipeline") is not None:
        return bool(_whole(config, "pipeline", "activation_checkpoint_interval"))
    return bool(_whole(config, "activation_checkpointing", "number_checkpoints"))


def _ignored_keys(config: dict[str, Any], text: str) -> tuple[Problem, ...]:
    """Keys that DeepSpeed accepts without reading them, the first MOST_STRANGE of each section."""
    sections = [("", config, sorted(known_keys()))]
    sections += [
        (f"{name}.", _value(config, name), known.split())
        for name, known in yamlfile.table("read", "shipped.yaml")["deepspeed"].items()
    ]
    found = []
    for prefix, section, known in sections:
        strange = [key for key in section if key not in known] if isinstance(section, dict) else []
        for place, key in enumerate(strange[:MOST_STRANGE]):
            near = did_you_mean(key, known, 0.7, place)
            hint = f"; {near}" if near else ""
            said = f"{prefix}{key:.80} is no key that DeepSpeed reads: it is ignored without a word{hint}"
            found.append(Problem("unknown_key", said, line_of(text, key), "DeepSpeed runtime/config.py"))
    return tuple(found)


def _section_problems(config: dict[str, Any], plan: dict[str, Any], text: str) -> tuple[Problem, ...]:
    """Conditions between sections."""
    found = []
    if _enabled(config, "fp16") and _enabled(config, "bf16", "bfloat16"):
        said = "fp16 and bf16 are both enabled; one of them"
        found.append(Problem("one_precision", said, line_of(text, "fp16"), "DeepSpeed runtime/config.py"))
    ratio = _value(config, "zero_optimization", "offload_optimizer", "ratio")
    if isinstance(ratio, float) and ratio < 1.0 and plan["zero"] < 3:
        said = f"offload_optimizer.ratio {ratio} needs ZeRO 3, not {plan['zero']}"
        found.append(Problem("partial_offload", said, line_of(text, "ratio"), "DeepSpeed runtime/zero/config.py"))
    return tuple(found)


def line_of(text: str, key: str) -> int:
    """The line on which a key of a JSON or TOML file first stands; 0: nowhere."""
    places = (text.find(f'"{key}"'), f"\n{text}".find(f"\n{key}"))
    first = min((place for place in places if place >= 0), default=-1)
    return 0 if first < 0 else text.count("\n", 0, first) + 1
