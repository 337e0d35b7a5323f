"""Vision towers against Transformers' own classes, module by module, without storage; skipped where it is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.blocks import operators
from planner.blocks.counts import parameters
from planner.blocks.operator import Share
from planner.blocks.record import Encoder
from planner.blocks.seeing import Patches
from planner.blocks.structure import structure
from planner.catalog.huggingface import read_config
from planner.schema.model import Model

torch: Any = pytest.importorskip("torch", reason="torch is not installed")
transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed")

LLAMA = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16}
LLAMA |= {"num_key_value_heads": 2, "vocab_size": 512, "max_position_embeddings": 256, "tie_word_embeddings": False}
MOE = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
SIGLIP = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
SIGLIP |= {"image_size": 896, "patch_size": 14, "vision_use_head": False, "model_type": "siglip_vision_model"}
SCOUT = {"hidden_size": 1408, "intermediate_size": 5632, "num_hidden_layers": 34, "num_attention_heads": 16}
SCOUT |= {"image_size": 336, "patch_size": 14, "projector_input_dim": 4096, "projector_output_dim": 4096}
SCOUT |= {"vision_output_dim": 4096}
TWO = {"depth": 32, "embed_dim": 1280, "hidden_size": 64, "num_heads": 16, "mlp_ratio": 4}
DEEP = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "out_hidden_size": 64, "num_heads": 16}
DEEP |= {"deepstack_visual_indexes": [5, 11, 17]}
LATENT = LLAMA | {"kv_lora_rank": 16, "q_lora_rank": None, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8}
LATENT |= {"v_head_dim": 16, "n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 32}
LATENT |= {"num_experts_per_tok": 2, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}
FILES: dict[str, dict[str, Any]] = {
    "qwen2_vl": {"text_config": LLAMA, "vision_config": TWO},
    "qwen2_5_vl": {"text_config": LLAMA, "vision_config": {"hidden_size": 1280, "out_hidden_size": 64}},
    "qwen3_vl": {"text_config": LLAMA, "vision_config": DEEP},
    "qwen3_vl_moe": {"text_config": LLAMA | MOE, "vision_config": DEEP},
    "gemma3": {"text_config": LLAMA, "vision_config": SIGLIP},
    "llama4": {"text_config": LLAMA | {"intermediate_size_mlp": 256}, "vision_config": SCOUT},
    "mistral3": {"text_config": LLAMA, "vision_config": {"model_type": "pixtral", "patch_size": 14}},
    "llava": {"text_config": LLAMA | {"model_type": "llama"}},
    "internvl": {"text_config": LLAMA | {"model_type": "qwen2"}, "vision_config": {"attention_bias": True}},
    "glm4v_moe": {
        "text_config": LATENT | {"use_qk_norm": False},
        "vision_config": {"out_hidden_size": 64, "intermediate_size": 96},
    },
    "kimi_k25": {"text_config": LATENT | {"model_type": "deepseek_v3"}},
}
"""Towers of released models, before decoders that are small; of class defaults where nothing is said."""

PARTS = {
    "layers": ("blocks.", "layers.", "layer."),
    "projector": ("merger", "projector", "projection", "vision_adapter", "downsample", "mm_", "patch_merger"),
}
"""Words in the names of modules."""


def counted(model: Model) -> dict[str, float]:
    """Parameters of the tower by part."""
    found, of = {"layers": 0.0, "patches": 0.0, "projector": 0.0}, structure(model)
    for kind, count in zip(of.kinds[of.ends :], of.tower, strict=True):
        name = "layers" if isinstance(kind, Encoder) else "patches" if isinstance(kind, Patches) else "projector"
        found[name] += count * sum(float(op.weights) for op in operators(kind, Share(1.0, 1.0)))
    return found


def theirs(model: Any) -> dict[str, float]:
    """The same of a class, by the names of its modules."""
    found = {"layers": 0.0, "patches": 0.0, "projector": 0.0}
    for name, one in model.named_parameters():
        if "language_model" in name or "lm_head" in name:
            continue
        last = name.rpartition("vision")[2] if "projector" not in name else name
        if any(word in name for word in PARTS["projector"]) and "conv_proj" not in name and not deep(name):
            found["projector"] += one.numel()
        elif any(word in last for word in PARTS["layers"]):
            found["layers"] += one.numel()
        else:
            found["patches"] += one.numel()
    return found


def deep(name: str) -> bool:
    """A layer's own output product, which two families call a projection."""
    return ".layer." in name or ("projection" in name and "embeddings" in name)


@pytest.mark.parametrize("kind", FILES)
def test_every_module_has_as_many(tmp_path: Path, kind: str) -> None:
    """Layers, patches and projector of every family, to the last parameter; and the whole model."""
    config = transformers.AutoConfig.for_model(kind, **FILES[kind], tie_word_embeddings=False)
    text = json.dumps(config.to_dict() | {"model_type": kind}, default=str)
    (tmp_path / "config.json").write_text(text.replace("Infinity", "1e9"), encoding="utf-8")
    with torch.device("meta"):
        model = transformers.AutoModelForImageTextToText.from_config(config)
    read = read_config(tmp_path)
    assert read.tower is not None, read.notes
    assert counted(read) == theirs(model)
    assert parameters(read).total == sum(one.numel() for one in model.parameters())
