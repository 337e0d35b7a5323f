"""Megatron-LM's own word on flags, layers, ranks and parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.frameworks import fetch_megatron
from tests.frameworks.verdict import Verdict, absent, installed, need
from tests.frameworks.worker import Worker, worker


class Refused(ValueError):
    """Megatron builds no such model; the verdict says where and why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{verdict.stage}: {verdict.error}")
        self.verdict = verdict


@dataclass(frozen=True)
class Shape:
    """A decoder in plain numbers. `vocab` is as stated; `padded` is what Megatron makes of it."""

    layers: int
    hidden: int
    heads: int
    ffn: int
    vocab: int
    kv_heads: int | None = None
    head_dim: int | None = None
    gated: bool = True
    bias: bool = False
    qkv_bias: bool = False
    norm: str = "RMSNorm"
    qk_norm: bool = False
    tied: bool = False
    positions: int = 4096
    position_embedding: str = "rope"
    """"learned_absolute" has a table of `positions` rows; "rope" and "none" have no parameters."""
    experts: int = 0
    top_k: int = 2
    expert_ffn: int | None = None
    shared_ffn: int | None = None
    expert_layers: int | tuple[int, ...] = 1
    """Every n-th layer, or one 0 or 1 per layer."""
    divisible_by: int = 128

    def padded(self, tp: int) -> int:
        """Vocabulary as Megatron pads it."""
        step = self.divisible_by * tp
        return -(-self.vocab // step) * step


@dataclass(frozen=True)
class Layout:
    """Degrees of one job; `vp` chunks per rank."""

    world: int
    tp: int = 1
    pp: int = 1
    vp: int = 1
    cp: int = 1
    ep: int = 1
    etp: int | None = None
    """None: as tp."""
    first: int | None = None
    last: int | None = None
    stages: str | None = None
    """A --pipeline-model-parallel-layout."""
    count_embedding: bool = False
    count_loss: bool = False
    pp_before_dp: bool = False
    """--use-tp-pp-dp-mapping."""
    instances: int = 1


def training_directory() -> Path | None:
    """Where `megatron.training` was unpacked: PLANNER_MEGATRON_TRAINING, or where `fetch_megatron` puts it."""
    named = os.environ.get("PLANNER_MEGATRON_TRAINING")
    directory = Path(named).resolve() if named else fetch_megatron.home()
    return directory if (directory / "megatron" / "training" / "arguments.py").exists() else None


class MegatronValidator:
    """`megatron.training`: its parser, `validate_args` and the configuration made of the arguments."""

    def __init__(self, directory: Path | None = None) -> None:
        need("torch")
        directory = directory or training_directory()
        if directory is None and not installed("megatron.training"):
            absent("megatron.training (python -m tests.frameworks.fetch_megatron)")
        self._worker: Worker = worker("megatron_worker", *([str(directory)] if directory else []))

    @property
    def version(self) -> str:
        """Of megatron-core."""
        return str(self._worker.ask(op="version")["version"])

    def options(self) -> dict[str, str]:
        """Every option of the parser, without dashes, and its default."""
        found: dict[str, str] = self._worker.ask(op="options")["options"]
        return found

    def check(self, flags: Sequence[str], world: int, env: Mapping[str, str] | None = None, arch: int = 9) -> Verdict:
        """Flags as a user would type them, on so many ranks; arch 9 is Hopper, 10 Blackwell."""
        return self._worker.judge(op="check", **_flags(flags, world, env, arch))

    def rank_parameters(
        self, flags: Sequence[str], world: int, rank: int, env: Mapping[str, str] | None = None, arch: int = 9
    ) -> list[int]:
        """Parameters of each model chunk that these flags build on a rank; raises `Refused`."""
        counts: list[int] = _counts(self._worker, op="parameters", rank=rank, **_flags(flags, world, env, arch))
        return counts

    def layers_per_stage(
        self, flags: Sequence[str], world: int, env: Mapping[str, str] | None = None, arch: int = 9
    ) -> list[list[int]]:
        """Layers of each chunk of each pipeline rank; raises `Refused`."""
        counts: list[list[int]] = _counts(self._worker, op="layers", **_flags(flags, world, env, arch))
        return counts


def _flags(flags: Sequence[str], world: int, env: Mapping[str, str] | None, arch: int) -> dict[str, Any]:
    return {"flags": list(flags), "world": world, "env": dict(env or {}), "arch": arch}


def _counts(asked: Worker, **question: Any) -> Any:
    answer = asked.ask(**question)
    if not answer["ok"]:
        raise Refused(Verdict(**answer))
    return answer["counts"]


@cache
def core() -> Worker:
    """Megatron-core as installed; where it is not, as unpacked."""
    need("torch")
    if installed("megatron.core"):
        return worker("megatron_worker")
    directory = training_directory()
    return worker("megatron_worker", str(directory)) if directory else absent("megatron.core")


def _numbers(shape: Shape, layout: Layout) -> dict[str, Any]:
    return {"shape": asdict(shape) | {"padded_vocab": shape.padded(layout.tp)}, "layout": asdict(layout)}


def rank_parameters(shape: Shape, layout: Layout, rank: int) -> list[int]:
    """Parameters of each model chunk on a global rank; raises `Refused`."""
    counts: list[int] = _counts(core(), op="parameters", rank=rank, **_numbers(shape, layout))
    return counts


def layers_per_stage(shape: Shape, layout: Layout) -> list[list[int]]:
    """Layers of each chunk of each pipeline rank; raises `Refused`."""
    counts: list[list[int]] = _counts(core(), op="layers", **_numbers(shape, layout))
    return counts


def rank_groups(layout: Layout, token: str, expert: bool = False) -> list[list[int]]:
    """Groups of ranks along "tp", "cp", "dp", "pp", "ep", or along several at once: "tp-cp"."""
    answer = core().ask(op="groups", layout=asdict(layout), token=token, expert=expert)
    if not answer["ok"]:
        raise Refused(Verdict(**answer))
    groups: list[list[int]] = answer["groups"]
    return groups
