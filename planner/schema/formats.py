"""Number formats of weights and KV caches: what they take, and what computes with them."""

from __future__ import annotations

from typing import Literal

WeightType = Literal["bf16", "fp16", "fp8", "int8", "int4", "nvfp4", "mxfp4"]
KvType = Literal["bf16", "fp16", "fp8", "nvfp4"]
Module = Literal["attention", "mlp", "experts", "shared", "router"]

STORED: dict[str, float] = {
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "int4": 0.5 + 2.0 / 128,
    "nvfp4": 0.5 + 1.0 / 16,
    "mxfp4": 0.5 + 1.0 / 32,
}
"""Bytes per element with its scales: one fp16 per 128 (GPTQ, AWQ), one fp8 per 16 (NVFP4), one byte per 32 (OCP MX)."""

COMPUTED: dict[str, Literal["bf16", "fp16", "fp8", "fp4"]] = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8": "fp8",
    "int8": "bf16",
    "int4": "bf16",
    "nvfp4": "fp4",
    "mxfp4": "bf16",
}
"""Precision of the products; int8, int4 and mxfp4 weights are widened inside a 16-bit kernel."""
