"""Which vision towers Megatron-Bridge takes from Hugging Face as they are."""

from __future__ import annotations

from planner.schema.model import Model

OWN_TOWERS = ("qwen3-vl", "qwen3.5")
"""Models whose vision tower is Megatron's (models/qwen_vl/modelling_qwen3_vl); others have Hugging Face's module."""


def tower(model: Model | None) -> dict[str, bool]:
    """Fields of the preset: a module of Hugging Face is whole on every tp rank (models/*/modeling_*vl.py)."""
    whole = model is not None and model.tower is not None and not model.name.startswith(OWN_TOWERS)
    return {"splits_tower": False} if whole else {}
