"""Layouts that NVIDIA published with a time, one by one: every rule holds for each, and what ran fits.

The table has Llama 3, DeepSeek-V3 and Qwen3 on H100, B200, B300, GB200 and GB300: cells from the tables of
NVIDIA-NeMo/Megatron-Bridge (docs/performance-summary-archive.md) and NVIDIA-NeMo/Automodel
(docs/performance-summary.mdx), by the ids of benchmarks/measured; the rest from the recipes that `source` names.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from planner.api import Answer, recommend

with Path(__file__).with_name("published_layouts.csv").open(encoding="utf-8", newline="") as file:
    LAYOUTS = list(csv.DictReader(file))

NUMBERS = ("seq", "global_batch", "offload_layers")
NEAR = 0.05
"""Less than the median error of peaks of low precision (docs/accuracy.md)."""

TOLD = ("id", "model", "gpus", "verdict", "source")


def asked(row: dict[str, str]) -> Answer:
    """`recommend --exact` with everything pinned; what every recipe of Megatron-Bridge has stands in no column."""
    options: dict[str, Any] = {name: text.replace(";", ",") for name, text in row.items() if text and name not in TOLD}
    options |= {name: int(options[name]) for name in NUMBERS if name in options}
    options |= {"offload": "activations"} if "offload_layers" in options else {}
    options |= {"sp": "1"} if row["tp"] != "1" else {}
    if row["id"].startswith("mbridge"):
        options |= {"loss": "fused", "fp8_param_gather": row["precision"] != "bf16"}
    return recommend(row["model"], row["gpus"], exact=True, **options)


@pytest.mark.parametrize("row", LAYOUTS, ids=[row["id"] for row in LAYOUTS])
def test_legal_and_fits(row: dict[str, str]) -> None:
    """None is illegal. What ran fits, or nearly does; two rows of one table, misprinted, are far beyond."""
    answer = asked(row)
    assert answer.fits == (row["verdict"] == "fits")
    if not answer.fits:
        need = answer.document["nearest_misses"][0]["memory_bytes"]["total"]
        assert (need < (1.0 + NEAR) * answer.document["usable_memory_bytes"]) == (row["verdict"] == "tight")


def test_every_layout_is_there() -> None:
    """Distinct by model, accelerators, format, degrees and micro-batch."""
    keys = ("model", "gpus", "precision", "tp", "cp", "pp", "v", "ep", "micro_batch")
    narrow = {"mxfp8": "fp8", "fp8-current": "fp8"}
    found = {tuple(narrow.get(row[key], row[key]) for key in keys) for row in LAYOUTS}
    assert len(found) == len(LAYOUTS) == 53
