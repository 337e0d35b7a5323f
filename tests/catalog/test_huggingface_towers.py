"""Vision towers of config.json files: released models add up to what their repositories hold, the rest is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.blocks.counts import active_parameters, parameters
from planner.catalog.huggingface import read_config
from planner.catalog.huggingface_config import UnsupportedArchitecture
from planner.schema.model import Model


def text(layers: int, hidden: int, ffn: int, heads: int, kv: int, vocab: int, **more: Any) -> dict[str, Any]:
    """A decoder as files have it."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocab,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
        **more,
    }


QWEN_TOWER = {"depth": 32, "num_heads": 16, "in_chans": 3, "patch_size": 14}
QWEN_TOWER |= {"spatial_merge_size": 2, "temporal_patch_size": 2}
QWEN25 = QWEN_TOWER | {"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584, "window_size": 112}
QWEN25 |= {"fullatt_block_indexes": [7, 15, 23, 31]}
QWEN3 = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "patch_size": 16}
QWEN3 |= {"spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 2304}
QWEN3 |= {"deepstack_visual_indexes": [8, 16, 24], "out_hidden_size": 4096}
SIGLIP = {"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "num_attention_heads": 16}
SIGLIP |= {"num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False, "model_type": "siglip_vision_model"}
GEMMA = text(34, 2560, 10240, 8, 4, 262208, head_dim=256, sliding_window=1024, model_type="gemma3_text")
INTERN = {"hidden_size": 1024, "image_size": 448, "intermediate_size": 4096, "num_attention_heads": 16}
INTERN |= {"num_hidden_layers": 24, "patch_size": 14, "qkv_bias": True, "qk_normalization": False}
PIXTRAL = {"model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
PIXTRAL |= {"num_hidden_layers": 24, "patch_size": 14, "image_size": 1540}
CLIP = {"model_type": "clip_vision_model", "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096}
CLIP |= {"num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14}
VICUNA = {"model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096}
SMALL = text(40, 5120, 32768, 32, 8, 131072, head_dim=128, model_type="mistral")

RELEASED: dict[str, tuple[dict[str, Any], int]] = {
    "Qwen2-VL-7B": (
        text(28, 3584, 18944, 28, 4, 152064, model_type="qwen2_vl")
        | {"vision_config": QWEN_TOWER | {"embed_dim": 1280, "hidden_size": 3584, "mlp_ratio": 4}},
        8_291_375_616,
    ),
    "Qwen2.5-VL-7B": (
        text(28, 3584, 18944, 28, 4, 152064, model_type="qwen2_5_vl") | {"vision_config": QWEN25},
        8_292_166_656,
    ),
    "Qwen3-VL-8B": (
        {
            "model_type": "qwen3_vl",
            "text_config": text(36, 4096, 12288, 32, 8, 151936, head_dim=128, model_type="qwen3_vl_text"),
            "vision_config": QWEN3,
        },
        8_767_123_696,
    ),
    "gemma-3-4b": (
        {
            "model_type": "gemma3",
            "text_config": GEMMA | {"tie_word_embeddings": True},
            "vision_config": SIGLIP,
            "mm_tokens_per_image": 256,
        },
        4_300_079_472,
    ),
    "Mistral-Small-3.1-24B": (
        {
            "model_type": "mistral3",
            "text_config": SMALL,
            "vision_config": PIXTRAL,
            "spatial_merge_size": 2,
            "multimodal_projector_bias": False,
        },
        24_011_361_280,
    ),
    "InternVL3-8B": (
        {
            "model_type": "internvl_chat",
            "llm_config": text(28, 3584, 18944, 28, 4, 151674, model_type="qwen2"),
            "vision_config": INTERN,
            "downsample_ratio": 0.5,
        },
        7_944_373_760,
    ),
    "InternVL3_5-38B": (
        {
            "model_type": "internvl_chat",
            "llm_config": text(64, 5120, 25600, 64, 8, 151936, head_dim=128, model_type="qwen3"),
            "vision_config": {"hidden_size": 3200, "image_size": 448, "intermediate_size": 12800, "patch_size": 14}
            | {"num_attention_heads": 25, "num_hidden_layers": 45, "qkv_bias": False, "qk_normalization": True}
            | {"norm_type": "rms_norm"},
            "downsample_ratio": 0.5,
        },
        38_390_405_504,
    ),
    "llava-1.5-7b": ({"model_type": "llava", "text_config": VICUNA, "vision_config": CLIP}, 7_063_427_072),
}
"""Totals are those of the safetensors metadata of each repository; of InternVL3_5-38B, of transformers' class."""


def read(folder: Path, config: dict[str, Any]) -> Model:
    """The model of a configuration."""
    (folder / "config.json").write_text(json.dumps(config))
    return read_config(folder)


@pytest.mark.parametrize("name", RELEASED)
def test_released_models_add_up(tmp_path: Path, name: str) -> None:
    """To the last parameter, tower and projector included."""
    config, total = RELEASED[name]
    model = read(tmp_path, config)
    assert model.tower is not None, model.notes
    assert not model.text_only
    assert parameters(model).total == total
    assert active_parameters(model) == total - parameters(model).tower


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("Qwen2.5-VL-7B", {"fullatt_block_indexes": [3, 9]}, "fullatt_block_indexes"),
        ("Qwen2.5-VL-7B", {"depth": None}, "depth: missing"),
        ("Qwen2.5-VL-7B", {"num_heads": 7}, "7 heads do not divide hidden 1280"),
        ("gemma-3-4b", {"vision_use_head": True}, "vision_use_head"),
        ("InternVL3-8B", {"use_mask_token": True}, "use_mask_token"),
        ("llava-1.5-7b", {"model_type": "siglip_vision_model"}, "only clip_vision_model and pixtral"),
    ],
)
def test_towers_that_cannot_be_said_are_left_out_by_name(
    tmp_path: Path, name: str, changed: dict[str, Any], words: str
) -> None:
    """The decoder is read, and the notes say what is missing and why."""
    config, total = RELEASED[name]
    model = read(tmp_path, config | {"vision_config": config["vision_config"] | changed})
    assert (model.tower, model.text_only) == (None, True)
    assert "Its vision tower is left out" in model.notes
    assert words in model.notes
    assert parameters(model).total < total


def test_other_encoders_are_named(tmp_path: Path) -> None:
    """Sound beside images; and what has no reader."""
    config, _ = RELEASED["Qwen2.5-VL-7B"]
    model = read(tmp_path, config | {"audio_config": {"hidden_size": 512}})
    assert model.tower is not None and model.text_only
    assert "What takes in sound is left out." in model.notes
    plain = text(2, 64, 128, 4, 2, 100, model_type="llama") | {"vision_tower": "openai/clip"}
    assert "vision_tower: what stands before the decoder is left out." in read(tmp_path, plain).notes


def test_an_image_that_is_seen_both_ways_makes_no_encoder(tmp_path: Path) -> None:
    """PaliGemma attends both ways over image and prompt and writes behind them: 2.92 B on its model page."""
    decoder = {"model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18}
    decoder |= {"num_attention_heads": 8, "num_key_value_heads": 1, "use_bidirectional_attention": True}
    model = read(
        tmp_path, {"model_type": "paligemma", "text_config": decoder, "vision_config": SIGLIP | {"image_size": 224}}
    )
    assert (model.kv_heads, model.head_dim, model.vocab) == (1, 256, 257216)
    assert parameters(model).total / 1e9 == pytest.approx(2.92, rel=5e-3)


def test_cross_attention_is_refused(tmp_path: Path) -> None:
    """Llama 3.2 Vision: some of its layers attend to images alone."""
    with pytest.raises(UnsupportedArchitecture, match="cross-attention"):
        read(tmp_path, {"model_type": "mllama", "text_config": {}, "vision_config": {}})
