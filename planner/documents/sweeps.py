"""Cells of sweeps."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from typing_extensions import TypedDict

from planner.documents.values import Above, As, Pattern, Whole
from planner.questions.sweep import VARIED
from planner.schema.workload import Base, Targets

OPTIONS: dict[str, Any] = {
    **{name: {"str": str, "int": int, "float": float, "bool": bool}[kind] for name, kind in VARIED.items()},
    "lora_targets": Annotated[str, As(Targets)],
    "base": Annotated[str, As(Base)],
    "offload_layers": Whole,
    "images": Whole,
}
"""Options of a cell with their types, beside model and gpus; a line has those that its sweep names, as given."""


class Sweep(TypedDict):
    """One line of planner sweep.

    Attributes:
        cell: the same for the same options.
        accelerator: this and what follows is of the best plan; None where none fits.
    """

    schema: Literal["planner.sweep/1"]
    cell: Annotated[str, Pattern("^[0-9a-f]{16}$")]
    model: str
    gpus: str
    status: Literal["fits", "does not fit", "refused"]
    reason: str
    accelerator: str | None
    total_gpus: Whole | None
    nodes: Whole | None
    sequences_per_step: Whole | None
    tokens_per_sequence: Whole | None
    step_time_s: Above | None
    step_time_band: Above | None
    tokens_per_second: Above | None
    mfu: Above | None
    peak_memory_bytes: Above | None
    memory_band_low_bytes: Above | None
    memory_band_high_bytes: Above | None
    usable_memory_bytes: Above | None
    plan_tp: Whole | None
    plan_cp: Whole | None
    plan_ep: Whole | None
    plan_etp: Whole | None
    plan_pp: Whole | None
    plan_v: Whole | None
    plan_dp: Whole | None
    plan_micro_batch: Whole | None
    plan_micro_batches: Whole | None
    plan_zero: Whole | None
    plan_schedule: str | None
    plan_recompute: str | None
    plan_dispatcher: str | None
    plan_expert_overlap: bool | None
    plan_dp_replicate: Whole | None
    plan_sequence_parallel: bool | None
    plan_head_layers: Whole | None
    plan_recompute_layers: Whole | None
    plan_recompute_modules: str | None
    plan_layout: str | None
