"""Training logs of Megatron-LM, DeepSpeed and torchtitan as one measured run: step time, peak memory, layout.

| log | time | memory | layout |
|---|---|---|---|
| Megatron-LM, Megatron-DeepSpeed | "elapsed time per iteration (ms): 7452.3" | "max allocated", "max reserved", MiB | \
arguments dump |
| DeepSpeed | "CurrSamplesPerSec=12.5", "samples/sec: 12.5", "time (ms) \\| fwd: .. \\| bwd: .. \\| step: .." | \
"MaxMemAllocated=30.1GB" | its JSON config |
| torchtitan | "tps: 7,520" (tokens per second and GPU; "wps" before 2025) | "memory: 45.20GiB(47.57%)" | no |

Facts come out as cells of the common format (`planner.accuracy.rows`), so that one reader makes a case of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from planner.accuracy.adapters import MEGATRON_OPTIONS
from planner.accuracy.rows import Row
from planner.catalog.textfile import MIB, read_bytes
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.wording import NotRead, load_json

LARGEST = 64 * MIB
"""Bytes of a log that is still read."""

LEAST, MOST = 1e-6, 1e12
"""Of what a log says of times, rates and sizes, in its own units."""

WARM_UP = 3
"""Printed iterations that are left out as warming up, half of them where fewer than six are there."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FLOAT = r"([0-9][0-9,]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"


@frozen
class Log:
    """What one log says.

    Attributes:
        kind: "megatron", "deepspeed" or "torchtitan".
        metric, values: the figure per printed iteration, warm-up included, in the metric's unit (rows.py); "samples"
            is sequences per second of the whole job.
        peak: GiB, of the rank with most; tool: what counted it.
        facts: cells of the common format.
        layers: layers that are recomputed per stage, where the log says so.
    """

    path: Path
    kind: str
    metric: str
    values: tuple[float, ...]
    peak: float | None
    tool: str
    facts: Row
    layers: int | None = None

    @property
    def figure(self) -> float:
        """Median over the iterations after the warm-up."""
        return median(self.values[min(WARM_UP, len(self.values) // 2) :])


def read_log(path: Path) -> Log:
    """The run that a log describes.

    Raises:
        PlannerError: unreadable, or no iteration times that any of the three frameworks prints.
    """
    text = _COLOUR.sub("", _text(path))
    for parse in (_megatron, _torchtitan, _deepspeed):
        found = parse(path, text)
        if found is not None:
            return found
    hint = 'wanted: "elapsed time per iteration (ms)" (Megatron), "samples/sec" (DeepSpeed) or "tps:" (torchtitan)'
    raise PlannerError(f"{path}: no iteration times in this log", hint)


def _text(path: Path) -> str:
    hint = "cut it: some hundred iterations are enough"
    return read_bytes(path, LARGEST, hint).decode("latin-1")


def _numbers(pattern: str, text: str) -> list[float]:
    return [figure(found) for found in re.findall(pattern, text)]


def _behind(mark: str, pattern: str, text: str) -> list[float]:
    """The first number of a pattern behind a mark, of each line that has both."""
    lines = (re.search(pattern, rest) for rest in re.findall(rf"{mark}([^\n]*)", text))
    return [figure(found[1]) for found in lines if found]


def figure(text: str) -> float:
    """A number of a log, with or without commas.

    Raises:
        PlannerError: zero, or larger than any time, rate or size of a run.
    """
    value = float(text.replace(",", ""))
    if not LEAST <= value <= MOST:
        raise PlannerError(f"{text:.40} in a log is no time, rate or size of a run", f"{LEAST:g} to {MOST:g}")
    return value


def _largest(pattern: str, text: str) -> float | None:
    return max(_numbers(pattern, text), default=None)


# Megatron-LM: training/training.py training_log, training/arguments.py _print_args, training/utils.py report_memory

_ELAPSED = re.compile(rf"elapsed time per iteration \(ms\):\s*{_FLOAT}([^\n]*)")
_ARGUMENT = re.compile(r"^[^\n]{0,40}?\b([a-z][a-z0-9_]*) \.{2,} (\S[^\n]*?)\s*$", re.MULTILINE)

_MEGATRON = {name: option.replace("-", "_") for name, option in MEGATRON_OPTIONS.items() if name != "n_kv_heads"} | {
    "n_gpus": "world_size",
    "vp": "virtual_pipeline_model_parallel_size",
    "dp": "data_parallel_size",
    "ep": "expert_model_parallel_size",
    "zero_stage": "zero_stage",
}


def _megatron(path: Path, text: str) -> Log | None:
    """Megatron-LM and Megatron-DeepSpeed; under a ramp of the batch only iterations at the last batch count."""
    lines = _ELAPSED.findall(text)
    if not lines:
        return None
    batches = [found[0] if (found := _numbers(rf"global batch size:\s*{_FLOAT}", rest)) else None for _, rest in lines]
    values = [figure(ms) / 1e3 for (ms, _), batch in zip(lines, batches, strict=True) if batch == batches[-1]]
    arguments = dict(_ARGUMENT.findall(text))
    facts = megatron_facts(arguments)
    if batches[-1] is not None:
        facts["global_batch"] = f"{batches[-1]:.0f}"
    reserved, allocated = (_largest(rf"max {word}:\s*{_FLOAT}", text) for word in ("reserved", "allocated"))
    peak = reserved or allocated
    tool = "reserved" if reserved else "allocated"
    layers = arguments.get("recompute_num_layers", "")
    block = arguments.get("recompute_method") == "block" and re.fullmatch(r"[0-9]{1,6}", layers) is not None
    size = None if peak is None else peak / 1024
    return Log(path, "megatron", "iter_seconds", tuple(values), size, tool, facts, int(layers) if block else None)


def megatron_facts(arguments: dict[str, str]) -> Row:
    """The cells that Megatron's dump of its arguments fills."""
    facts = {ours: arguments[theirs] for ours, theirs in _MEGATRON.items() if arguments.get(theirs, "None") != "None"}
    flags: tuple[tuple[str, str, Callable[[str], str]], ...] = (
        ("sequence_parallel", "sequence_parallel", _yes),
        ("gated_mlp", "swiglu", _yes),
        ("tied_embeddings", "untie_embeddings_and_output_weights", lambda value: _yes(str(value != "True"))),
        ("recompute", "recompute_granularity", lambda value: "none" if value == "None" else value),
        ("n_kv_heads", "num_query_groups", lambda value: "" if value in ("None", "1") else value),
    )
    facts |= {ours: change(arguments[theirs]) for ours, theirs, change in flags if theirs in arguments}
    if vocabulary := arguments.get("padded_vocab_size", arguments.get("vocab_size", "None")).replace("None", ""):
        facts["vocab"] = vocabulary
    if "zero_stage" not in facts and "use_distributed_optimizer" in arguments:
        facts["zero_stage"] = "1" if arguments["use_distributed_optimizer"] == "True" else "0"
    if {"bf16", "fp16"} & arguments.keys():
        facts["precision"] = "bf16" if arguments.get("bf16") == "True" else "fp16"
    return facts


def _yes(value: str) -> str:
    return "yes" if value == "True" else "no"


# torchtitan: components/metrics.py MetricsProcessor.log


def _torchtitan(path: Path, text: str) -> Log | None:
    """torchtitan: "step: 10  loss: 7.1  memory: 45.20GiB(47.57%)  tps: 7,520"; its memory is the reserved peak."""
    values = _behind(r"step:\s*\d+", rf"\b(?:tps|wps):\s*{_FLOAT}", text)
    if not values:
        return None
    peak = _largest(rf"memory:\s*{_FLOAT}\s*GiB", text)
    return Log(path, "torchtitan", "tokens_per_sec_per_gpu", tuple(values), peak, "reserved", {})


# DeepSpeed: utils/timer.py ThroughputTimer and SynchronizedWallClockTimer, runtime/pipe/engine.py


_BREAKDOWN = ("fwd|forward", "bwd|backward", "step")
"""Parts of a step in "time (ms) | fwd: 100.1 | bwd: 200.2 | bwd_inner: .. | step: 5.0", by name of the version."""


def _deepspeed(path: Path, text: str) -> Log | None:
    """DeepSpeed: samples per second where printed, else forward + backward + step of the wall-clock breakdown."""
    peak = _largest(rf"MaxMemAllocated={_FLOAT}\s*GB", text)
    samples = _numbers(rf"CurrSamplesPerSec={_FLOAT}", text) or _numbers(rf"samples/sec:\s*{_FLOAT}", text)
    if samples:
        return Log(path, "deepspeed", "samples", tuple(samples), peak, "allocated", {})
    parts = [_behind(r"time \(ms\)", rf"\|\s*(?:{word}):\s*{_FLOAT}", text) for word in _BREAKDOWN]
    times = tuple(sum(ms) / 1e3 for ms in zip(*parts, strict=False))
    if not times:
        return None
    return Log(path, "deepspeed", "iter_seconds", times, peak, "allocated", {})


def deepspeed_facts(path: Path) -> Row:
    """The cells that a DeepSpeed JSON config fills; "auto" fills none.

    Raises:
        PlannerError: unreadable, or no JSON object.
    """
    try:
        config = load_json(_text(path))
    except NotRead as error:
        raise PlannerError(f"{path}:{error.line}: not a JSON config of DeepSpeed: {error.reason}") from None
    if not isinstance(config, dict):
        raise PlannerError(f"{path}: not a JSON config of DeepSpeed", 'an object with "train_batch_size" ...')
    cells = {
        "global_batch": config.get("train_batch_size"),
        "micro_batch": config.get("train_micro_batch_size_per_gpu"),
        "zero_stage": _inside(config, "zero_optimization", "stage"),
        "precision": next((name for name in ("bf16", "fp16") if _inside(config, name, "enabled") is True), None),
    }
    return {name: str(value) for name, value in cells.items() if isinstance(value, int | str) and value != "auto"}


def _inside(config: dict[str, Any], name: str, key: str) -> Any:
    part = config.get(name)
    return part.get(key) if isinstance(part, dict) else None
