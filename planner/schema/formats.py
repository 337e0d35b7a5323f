"""Number formats of tensors: what an element takes, and what computes with it."""

from __future__ import annotations

from typing import Literal

WeightType = Literal["bf16", "fp16", "fp8", "w8a8", "int8", "int4", "nvfp4", "mxfp4"]
KvType = Literal["bf16", "fp16", "fp8", "nvfp4"]
Module = Literal["attention", "mlp", "experts", "shared", "router"]
Format = Literal["fp32", "bf16", "fp16", "fp8", "fp8_block", "mxfp8", "int8", "int4", "nvfp4", "mxfp4", "nf4"]

STORED: dict[str, float] = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "fp8_block": 1.0 + 4.0 / 128,
    "mxfp8": 1.0 + 1.0 / 32,
    "w8a8": 1.0,
    "int8": 1.0,
    "int4": 0.5 + 2.0 / 128,
    "nvfp4": 0.5 + 1.0 / 16,
    "mxfp4": 0.5 + 1.0 / 32,
    "nf4": 0.5 + 1.0 / 64 + 4.0 / (64 * 256),
}
"""Bytes per element with its scales: one fp32 per 128 (DeepSeek-V3's blocks), one fp16 per 128 (GPTQ, AWQ), one fp8 per
16 (NVFP4), one byte per 32 (OCP MX); one byte per 64 and an fp32 per 256 of those (NF4 with double quantisation,
Dettmers 2023, arXiv:2305.14314, 3)."""

Computed = Literal["bf16", "fp16", "fp8", "w8a8", "fp4"]

COMPUTED: dict[str, Computed] = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "mxfp8": "fp8",
    "w8a8": "w8a8",
    "int8": "bf16",
    "int4": "bf16",
    "nvfp4": "fp4",
    "mxfp4": "bf16",
    "nf4": "bf16",
}
"""Precision of the products; int8, int4, nf4 and mxfp4 weights are widened inside a 16-bit kernel; w8a8 is int8 on both
sides of them (SmoothQuant, Xiao 2023, arXiv:2211.10438)."""

NARROW = frozenset(COMPUTED.values()) - {"bf16", "fp16"}
"""Precisions of products below 16 bit."""
