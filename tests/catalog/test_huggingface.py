"""config.json files of real models, reduced to the keys that matter, and the ones that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.blocks.counts import parameters
from planner.catalog.huggingface import read_config
from planner.catalog.huggingface_config import UnsupportedArchitecture
from planner.catalog.huggingface_families import FAMILIES
from planner.catalog.huggingface_known import INSIDE, NESTED
from planner.catalog.library import open_library
from planner.errors import PlannerError, ProfileError

LLAMA: dict[str, Any] = {
    "_name_or_path": "meta-llama/Llama-3.1-8B",
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "hidden_act": "silu",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "tie_word_embeddings": False,
}
DEEPSEEK_V3: dict[str, Any] = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "num_nextn_predict_layers": 1,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "n_shared_experts": 1,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 3,
    "n_group": 8,
    "topk_group": 4,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "max_position_embeddings": 163840,
    "tie_word_embeddings": False,
}
MAVERICK: dict[str, Any] = {
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text",
        "hidden_size": 5120,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_local_experts": 128,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 2,
        "moe_layers": list(range(1, 48, 2)),
        "no_rope_layers": [1, 1, 1, 0] * 12,
        "attention_chunk_size": 8192,
        "vocab_size": 202048,
        "max_position_embeddings": 1048576,
        "tie_word_embeddings": False,
    },
    "vision_config": {
        "hidden_size": 1408,
        "image_size": 336,
        "intermediate_size": 5632,
        "num_attention_heads": 16,
        "num_hidden_layers": 34,
        "patch_size": 14,
        "pixel_shuffle_ratio": 0.5,
        "projector_input_dim": 4096,
        "projector_output_dim": 4096,
    },
}
QWEN2_MOE: dict[str, Any] = {
    "model_type": "qwen2_moe",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "moe_intermediate_size": 2560,
    "shared_expert_intermediate_size": 20480,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "num_experts": 64,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "use_sliding_window": False,
    "sliding_window": 65536,
    "max_window_layers": 28,
    "vocab_size": 151936,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}

# profile that is shipped for the same model -> its config.json
CONFIGS: dict[str, dict[str, Any]] = {
    "llama3.1-8b": LLAMA,
    "deepseek-v3": DEEPSEEK_V3,
    "llama4-maverick": MAVERICK,
    "mistral-7b": {
        "model_type": "mistral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "sliding_window": 4096,
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
    },
    "mixtral-8x7b": {
        "model_type": "mixtral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "sliding_window": None,
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
    },
    "qwen2.5-7b": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "use_sliding_window": False,
        "sliding_window": 131072,
        "max_window_layers": 28,
        "vocab_size": 152064,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    },
    "qwen3-30b-a3b": {
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "use_sliding_window": False,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    },
    "qwen3-4b": {
        "model_type": "qwen3",
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": True,
    },
    "gemma2-2b": {
        "model_type": "gemma2",
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "sliding_window": 4096,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
    },
    "gemma3-4b": {
        "model_type": "gemma3",
        "text_config": {
            "model_type": "gemma3_text",
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "num_hidden_layers": 34,
            "sliding_window": 1024,
        },
        "vision_config": {
            "hidden_size": 1152,
            "image_size": 896,
            "intermediate_size": 4304,
            "num_attention_heads": 16,
            "num_hidden_layers": 27,
            "patch_size": 14,
            "vision_use_head": False,
        },
    },
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_inner": None,
        "n_positions": 1024,
        "n_ctx": 1024,
        "activation_function": "gelu_new",
        "attn_pdrop": 0.1,
        "vocab_size": 50257,
    },
    "opt-1.3b": {
        "model_type": "opt",
        "hidden_size": 2048,
        "ffn_dim": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 32,
        "activation_function": "relu",
        "dropout": 0.1,
        "do_layer_norm_before": True,
        "word_embed_proj_dim": 2048,
        "vocab_size": 50272,
        "max_position_embeddings": 2048,
    },
    "bloom-7b1": {
        "model_type": "bloom",
        "n_embed": 4096,
        "n_layer": 30,
        "num_attention_heads": 32,
        "seq_length": 2048,
        "hidden_dropout": 0.0,
        "vocab_size": 250880,
    },
    "falcon-7b": {
        "model_type": "falcon",
        "hidden_size": 4544,
        "num_hidden_layers": 32,
        "num_attention_heads": 71,
        "num_kv_heads": 71,
        "multi_query": True,
        "new_decoder_architecture": False,
        "parallel_attn": True,
        "alibi": False,
        "bias": False,
        "vocab_size": 65024,
    },
    "falcon-180b": {
        "model_type": "falcon",
        "hidden_size": 14848,
        "num_hidden_layers": 80,
        "num_attention_heads": 232,
        "num_kv_heads": 8,
        "multi_query": True,
        "new_decoder_architecture": True,
        "alibi": False,
        "bias": False,
        "vocab_size": 65024,
    },
    "gpt-neox-20b": {
        "model_type": "gpt_neox",
        "hidden_size": 6144,
        "intermediate_size": 24576,
        "num_hidden_layers": 44,
        "num_attention_heads": 64,
        "hidden_act": "gelu_fast",
        "vocab_size": 50432,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
    },
    "phi-2": {
        "model_type": "phi",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "hidden_act": "gelu_new",
        "resid_pdrop": 0.1,
        "attention_dropout": 0.0,
        "vocab_size": 51200,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
    },
    "gpt-oss-20b": {
        "model_type": "gpt_oss",
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_hidden_layers": 24,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "num_local_experts": 32,
        "num_experts_per_tok": 4,
        "experts_per_token": 4,
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
        "attention_bias": True,
        "vocab_size": 201088,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    },
    "glm-4.5-air": {
        "model_type": "glm4_moe",
        "hidden_size": 4096,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "num_hidden_layers": 46,
        "num_attention_heads": 96,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "n_routed_experts": 128,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 1,
        "attention_bias": True,
        "vocab_size": 151552,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    },
    "deepseek-v2-lite": {
        "model_type": "deepseek_v2",
        "hidden_size": 2048,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "n_shared_experts": 2,
        "n_routed_experts": 64,
        "num_experts_per_tok": 6,
        "moe_layer_freq": 1,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 512,
        "q_lora_rank": None,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "vocab_size": 102400,
        "max_position_embeddings": 163840,
        "tie_word_embeddings": False,
    },
    "kimi-k2": DEEPSEEK_V3
    | {
        "model_type": "kimi_k2",
        "num_attention_heads": 64,
        "num_key_value_heads": 64,
        "n_routed_experts": 384,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "vocab_size": 163840,
        "max_position_embeddings": 131072,
    },
    "nemotron4-340b": {
        "model_type": "nemotron",
        "hidden_size": 18432,
        "intermediate_size": 73728,
        "num_hidden_layers": 96,
        "num_attention_heads": 96,
        "num_key_value_heads": 8,
        "head_dim": 192,
        "hidden_act": "relu2",
        "vocab_size": 256000,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
    "olmoe-1b-7b": {
        "model_type": "olmoe",
        "hidden_size": 2048,
        "intermediate_size": 1024,
        "num_hidden_layers": 16,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "vocab_size": 50304,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
}
OWN_FIELDS = {
    "name",
    "source",
    "notes",
    "aliases",
    "default_for",
    "hf_id",
    "family",
    "parameters",
    "parameters_active",
    "checkpoint",
    "checkpoints",
}

# models for which no profile need exist: parameters in billions, and who says so
PUBLISHED: list[tuple[dict[str, Any], float]] = [
    (QWEN2_MOE, 57.4),  # Qwen2 report, arXiv:2407.10671, Table 1: 57B; the model card's weights: 57.4 B
    (
        {  # StarCoder2, arXiv:2402.19173: 7B; the model card's weights: 7.17 B
            "model_type": "starcoder2",
            "hidden_size": 4608,
            "intermediate_size": 18432,
            "num_hidden_layers": 32,
            "num_attention_heads": 36,
            "num_key_value_heads": 4,
            "hidden_act": "gelu_pytorch_tanh",
            "sliding_window": 4096,
            "use_bias": True,
            "vocab_size": 49152,
            "max_position_embeddings": 16384,
        },
        7.17,
    ),
    (
        {  # Command R v01, model card: 35 billion parameters (weights: 34.98 B)
            "model_type": "cohere",
            "hidden_size": 8192,
            "intermediate_size": 22528,
            "num_hidden_layers": 40,
            "num_attention_heads": 64,
            "num_key_value_heads": 64,
            "vocab_size": 256000,
            "max_position_embeddings": 8192,
        },
        34.98,
    ),
    (
        {  # Phi-3-mini, arXiv:2404.14219: 3.8 B
            "model_type": "phi3",
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "sliding_window": 2047,
            "vocab_size": 32064,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
        3.82,
    ),
    (
        {  # StableLM-3B-4E1T, model card: 2,795,443,200 parameters
            "model_type": "stablelm",
            "hidden_size": 2560,
            "intermediate_size": 6912,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "use_qkv_bias": False,
            "vocab_size": 50304,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
        2.795,
    ),
    (
        {  # InternLM2, arXiv:2403.17297: 7B; the model card's weights: 7.74 B
            "model_type": "internlm2",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "bias": False,
            "vocab_size": 92544,
            "max_position_embeddings": 32768,
            "tie_word_embeddings": False,
        },
        7.74,
    ),
]


def write(folder: Path, config: object) -> Path:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return path


def without(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_config_gives_the_model_that_the_profile_describes(tmp_path: Path, name: str) -> None:
    library = open_library()
    if name not in library.names("model"):
        pytest.skip(f"no profile {name}")
    profile = library.model(name).value
    model = read_config(write(tmp_path, CONFIGS[name]))
    assert model.model_dump(exclude=OWN_FIELDS) == profile.model_dump(exclude=OWN_FIELDS)
    if profile.parameters is not None:
        assert parameters(model).total == pytest.approx(profile.parameters, rel=0.03)


@pytest.mark.parametrize(("config", "billions"), PUBLISHED, ids=lambda value: str(value)[:30])
def test_parameters_agree_with_what_was_published(tmp_path: Path, config: dict[str, Any], billions: float) -> None:
    assert parameters(read_config(write(tmp_path, config))).total / 1e9 == pytest.approx(billions, rel=0.005)


def test_name_and_source_say_where_it_came_from(tmp_path: Path) -> None:
    folder = tmp_path / "My model (v2)"
    folder.mkdir()
    path = write(folder, without(LLAMA, "_name_or_path"))
    model = read_config(folder)
    assert (model.name, model.source, model.parameters) == ("My-model-v2-", f"config.json at {path}", None)
    write(folder, LLAMA)
    assert read_config(path).name == "Llama-3.1-8B"
    for odd in ("./", "/", "日本", 5, None):
        assert read_config(write(folder, LLAMA | {"_name_or_path": odd})).name == "My-model-v2-"


def test_the_library_reads_a_folder_and_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, LLAMA)
    library = open_library()
    assert library.model(str(tmp_path)).value == library.model(str(path)).value


# traps


def test_tying_follows_the_class_when_the_file_is_silent(tmp_path: Path) -> None:
    assert not read_config(write(tmp_path, without(LLAMA, "tie_word_embeddings"))).tied_embeddings
    assert read_config(write(tmp_path, CONFIGS["gpt2"])).tied_embeddings
    assert read_config(write(tmp_path, CONFIGS["gemma3-4b"])).tied_embeddings
    untied = CONFIGS["gemma3-4b"] | {"tie_word_embeddings": False}
    assert not read_config(write(tmp_path, untied)).tied_embeddings


def test_heads_without_key_value_heads_share_nothing(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, without(LLAMA, "num_key_value_heads"))).kv_heads == 32
    assert read_config(write(tmp_path, LLAMA | {"num_key_value_heads": None})).kv_heads == 32
    assert read_config(write(tmp_path, without(CONFIGS["mistral-7b"], "num_key_value_heads"))).kv_heads == 8


def test_falcon_shares_one_head_or_none(tmp_path: Path) -> None:
    falcon = CONFIGS["falcon-7b"]
    assert read_config(write(tmp_path, falcon | {"multi_query": False})).kv_heads == 71
    assert read_config(write(tmp_path, falcon | {"alibi": True, "bias": True})).position == "alibi"


def test_llama4_scout_is_moe_in_every_layer(tmp_path: Path) -> None:
    text = without(MAVERICK["text_config"], "moe_layers", "no_rope_layers")
    scout = MAVERICK | {"text_config": text | {"interleave_moe_layer_step": 1, "num_local_experts": 16}}
    model = read_config(write(tmp_path, scout))
    assert model.moe is not None
    assert (model.moe.every, model.moe.ffn, model.ffn, model.window_every) == (1, 8192, 16384, 4)
    assert parameters(model).total == 108_641_793_536  # safetensors metadata of Llama-4-Scout-17B-16E


def test_a_bias_that_only_attention_has(tmp_path: Path) -> None:
    model = read_config(write(tmp_path, LLAMA | {"attention_bias": True}))
    assert model.bias == "qkv" and "left out" in model.notes
    assert read_config(write(tmp_path, LLAMA | {"attention_bias": True, "mlp_bias": True})).bias == "all"


@pytest.mark.parametrize(
    ("extra", "window"),
    [
        ({"use_sliding_window": True, "max_window_layers": 0, "sliding_window": 4096}, (4096, 0)),
        ({"use_sliding_window": True, "max_window_layers": 28, "sliding_window": 4096}, (None, 0)),
        ({"layer_types": ["full_attention"] * 28}, (None, 0)),
        ({"layer_types": (["sliding_attention"] * 3 + ["full_attention"]) * 7, "sliding_window": 512}, (512, 4)),
    ],
)
def test_windows(tmp_path: Path, extra: dict[str, Any], window: tuple[int | None, int]) -> None:
    model = read_config(write(tmp_path, CONFIGS["qwen2.5-7b"] | extra))
    assert (model.window, model.window_every) == window


def test_windows_that_are_not_evenly_spaced_become_a_pattern(tmp_path: Path) -> None:
    config = CONFIGS["qwen2.5-7b"] | {"use_sliding_window": True, "max_window_layers": 14, "sliding_window": 4096}
    model = read_config(write(tmp_path, config))
    assert (model.window, model.pattern) == (4096, "*" * 14 + "W" * 14)


# refusals


@pytest.mark.parametrize(
    "kind",
    [
        "recurrent_gemma",
        "xlstm",
        "deepseek_v4",
        "gemma3n",
        "zamba2",
        "minimax_m3",
        "t5",
        "new",
    ],
)
def test_other_architectures_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UnsupportedArchitecture) as caught:
        read_config(write(tmp_path, LLAMA | {"model_type": kind}))
    assert f'config.json: model_type "{kind}" is not supported: ' in str(caught.value)
    assert all(name in caught.value.hint[0] for name in (*FAMILIES, *NESTED))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("roberta", "it is an encoder"),
        ("modernbert", "it is an encoder"),
        ("mt5", "it is an encoder-decoder"),
        ("t5gemma", "it is an encoder-decoder"),
        ("llada", "it is a diffusion model"),
        ("Dream", "it is a diffusion model"),
        ("ernie4_5_moe_vl", "images have experts of their own"),
    ],
)
def test_what_writes_no_text_token_by_token_is_refused_with_the_reason(tmp_path: Path, kind: str, why: str) -> None:
    with pytest.raises(UnsupportedArchitecture, match=f'"{kind}" is not supported: {why}'):
        read_config(write(tmp_path, LLAMA | {"model_type": kind}))


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (
            {"model_type": "new-seq2seq", "is_encoder_decoder": True},
            '"new-seq2seq" is not supported: it is an encoder-d',
        ),
        (
            {"model_type": "new-mlm", "architectures": ["NewForMaskedLM"]},
            '"new-mlm" is not supported: it is an encoder:',
        ),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "looks both ways"),
        ({"model_type": "kimi_k3", "text_config": LLAMA | {"model_type": "zamba2"}}, '"zamba2" is not supported'),
    ],
)
def test_what_a_file_says_of_itself_is_the_reason(tmp_path: Path, config: dict[str, Any], why: str) -> None:
    """Of types that nobody has heard of, and of decoders that were made encoders (EmbeddingGemma)."""
    with pytest.raises(UnsupportedArchitecture, match=why):
        read_config(write(tmp_path, LLAMA | config))


@pytest.mark.parametrize(
    ("wrapper", "family"),
    [
        ({"model_type": "qwen2_audio", "text_config": {"model_type": "qwen2"}, "audio_config": {}}, "qwen2"),
        ({"model_type": "voxtral", "text_config": {"model_type": "llama"}, "audio_config": {}}, "llama"),
        ({"model_type": "deepseek_vl_v2", "language_config": {"use_mla": False}, "vision_config": {}}, "deepseek"),
        ({"model_type": "qwen2_5_omni", "thinker_config": {"text_config": {}, "audio_config": {}}}, "qwen2"),
        ({"model_type": "NemotronH_Nano_VL_V2", "llm_config": {"model_type": "llama"}, "vit_config": {}}, "llama"),
    ],
)
def test_the_decoder_behind_sound_and_images_is_read(tmp_path: Path, wrapper: dict[str, Any], family: str) -> None:
    """It stands under one of several keys; that the rest is left out is said."""
    inner = {key: value for key, value in LLAMA.items() if key != "model_type"}

    def filled(value: dict[str, Any]) -> dict[str, Any]:
        return {
            key: filled(one) if key == "thinker_config" else inner | one if key in INSIDE else one
            for key, one in value.items()
        }

    model = read_config(write(tmp_path, filled(wrapper)))
    assert (model.family, model.layers, model.text_only) == (family, LLAMA["num_hidden_layers"], True)
    assert "left out" in model.notes


def test_a_decoder_that_is_not_read_is_refused_inside_a_wrapper_too(tmp_path: Path) -> None:
    """It was taken for the usual decoder of that wrapper."""
    config = {"model_type": "llava_next", "text_config": LLAMA | {"model_type": "zamba2"}, "vision_config": {}}
    with pytest.raises(UnsupportedArchitecture, match='"zamba2" is not supported'):
        read_config(write(tmp_path, config))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            QWEN2_MOE | {"shared_expert_intermediate_size": 20481},
            "shared_expert_intermediate_size: 20481: not a multiple",
        ),
        (QWEN2_MOE | {"mlp_only_layers": [5]}, r"mlp_only_layers: \[5\]: only leading layers"),
        (QWEN2_MOE | {"decoder_sparse_step": 3}, "decoder_sparse_step: 3: does not divide"),
        (QWEN2_MOE | {"use_sliding_window": True}, "use_sliding_window: true: alternating windows"),
        (DEEPSEEK_V3 | {"moe_layer_freq": 2}, "moe_layer_freq: 2: only 1"),
        (CONFIGS["opt-1.3b"] | {"word_embed_proj_dim": 512}, "word_embed_proj_dim: 512"),
        (CONFIGS["opt-1.3b"] | {"activation_function": "silu"}, 'the activation "silu"'),
        (CONFIGS["opt-1.3b"] | {"do_layer_norm_before": False}, "do_layer_norm_before: false"),
        (CONFIGS["gpt2"] | {"add_cross_attention": True}, "add_cross_attention: true"),
        (CONFIGS["gpt-neox-20b"] | {"attention_bias": False}, "attention_bias: false"),
        (LLAMA | {"mlp_bias": True}, "mlp_bias: true"),
        (CONFIGS["qwen2.5-7b"] | {"layer_types": ["linear_attention"] * 28}, "layer_types: .*: only sliding"),
        ({**MAVERICK, "text_config": {**MAVERICK["text_config"], "moe_layers": [0, 5]}}, "moe_layers: .*: differs"),
        (
            {**MAVERICK, "text_config": {**MAVERICK["text_config"], "interleave_moe_layer_step": 5}},
            "interleave_moe_layer_step: 5: does not divide",
        ),
    ],
)
def test_variants_that_cannot_be_expressed_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedArchitecture, match=message):
        read_config(write(tmp_path, config))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (without(LLAMA, "num_hidden_layers"), r"config\.json: num_hidden_layers: missing"),
        (without(LLAMA, "model_type"), r"config\.json: model_type: missing"),
        (LLAMA | {"hidden_size": "4096"}, r"config\.json: hidden_size: '4096' is not a positive whole number"),
        (LLAMA | {"hidden_size": True}, r"hidden_size: True is not a positive whole number"),
        (LLAMA | {"num_attention_heads": 0}, r"num_attention_heads: 0 is not a positive"),
        (LLAMA | {"vocab_size": -5}, r"vocab_size: -5 is not a positive"),
        (LLAMA | {"hidden_size": 10**12}, r"hidden_size: 10+ is not a positive"),
        (LLAMA | {"num_attention_heads": 33}, r"head_dim: missing, and 33 heads do not divide hidden size 4096"),
        (LLAMA | {"num_key_value_heads": 7}, r"config\.json: heads 32 is not a multiple of kv_heads 7"),
        (LLAMA | {"tie_word_embeddings": "no"}, r"tie_word_embeddings: 'no' is neither true nor false"),
        (CONFIGS["qwen2.5-7b"] | {"layer_types": "all"}, r"layer_types: 'all' is not a list"),
        (CONFIGS["mixtral-8x7b"] | {"num_experts_per_tok": 9}, r"top_k 9 exceeds the 8 experts"),
        (without(MAVERICK, "text_config"), r"text_config: missing"),
        ("", r"config\.json:1: not JSON"),
        ('{"model_type": "llama",\n}', r"config\.json:[12]: not JSON"),
        ("[1]", r"not a JSON object"),
        ("[" * 200_000, r"not JSON"),
        ('{"vocab_size": ' + "9" * 5000 + "}", r"not JSON: a number of more"),
        ("{" + " " * 1_100_000 + "}", r"larger than 1 MB"),
    ],
)
def test_what_is_wrong_with_a_config_is_said(tmp_path: Path, config: object, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        read_config(write(tmp_path, config))


def test_a_missing_field_names_its_synonyms(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        read_config(write(tmp_path, without(LLAMA, "hidden_size")))
    assert caught.value.hint == ("also read: n_embd, n_embed, d_model",)


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"config\.json: no such file"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff")
    with pytest.raises(ProfileError, match="not UTF-8"):
        read_config(tmp_path)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**10), st.floats(), st.text(max_size=5), st.lists(st.integers(0, 3))
)


@given(st.sampled_from(sorted(CONFIGS)), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_value_raises_anything_but_a_planner_error(tmp_path: Path, name: str, data: st.DataObject) -> None:
    config = dict(CONFIGS[name])
    inner = dict(config.get("text_config", config))
    key = data.draw(st.sampled_from(sorted(inner)))
    inner[key] = data.draw(VALUES)
    whole = config | {"text_config": inner} if "text_config" in config else inner
    try:
        read_config(write(tmp_path, whole))
    except PlannerError as error:
        assert len(str(error)) < 400
