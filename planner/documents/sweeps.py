"""Cells of sweeps."""

from __future__ import annotations

from typing import Annotated, Literal

from typing_extensions import TypedDict

from planner.documents.values import Above, As, Pattern, Whole
from planner.schema.workload import Base, Targets


class Options(TypedDict, total=False):
    """Options of a cell, as given; a cell has those that its sweep names."""

    network: str
    seq: int
    global_batch: int
    batch_tokens: int
    gradient_accumulation_steps: int
    precision: str
    attention: str
    method: str
    lora_rank: int
    lora_targets: Annotated[str, As(Targets)]
    base: Annotated[str, As(Base)]
    quantize_experts: bool
    optimizer: str
    offload: str
    offload_layers: Whole
    offload_modules: str
    images: Whole
    image_size: int
    tower: str
    loss: str
    cp_comm: str
    fp8_param_gather: bool
    bf16_first: int
    bf16_last: int
    margin: str
    strict_fit: bool
    framework: str
    micro_batch: str
    recompute: str
    recompute_modules: str
    schedule: str
    profiles: str
    strict: bool
    dispatcher: str
    cuda_graphs: str
    imbalance: float
    capacity_factor: float
    expert_overlap: str
    tp: str
    cp: str
    ep: str
    etp: str
    pp: str
    dp: str
    dp_replicate: str
    v: str
    zero: str
    sp: str
    head: str
    recompute_layers: str


class Sweep(Options):
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
