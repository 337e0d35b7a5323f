"""config.json of families whose layers are more than attention: each adds up to its published count.

Shapes are those of the profiles of the same names, whose `source` says where they were read.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from planner.blocks.counts import active_parameters, held, parameters
from planner.blocks.operator import Share
from planner.blocks.record import Block, Experts
from planner.blocks.structure import letters, structure
from planner.catalog.huggingface import read_config
from planner.catalog.huggingface_config import UnsupportedArchitecture


def shape(layers: int, hidden: int, ffn: int, heads: int, kv_heads: int, vocab: int, **more: Any) -> dict[str, Any]:
    """A config.json with the keys that every decoder has."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
    } | more


DEEPSEEK = {
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "moe_intermediate_size": 2048,
    "first_k_dense_replace": 3,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
DELTA = {
    "head_dim": 256,
    "full_attention_interval": 4,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}
NEXT = shape(48, 2048, 5120, 16, 2, 151936, model_type="qwen3_next") | DELTA
NEXT |= {"num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512}
NEXT |= {"shared_expert_intermediate_size": 512, "decoder_sparse_step": 1, "mlp_only_layers": []}
NEMOTRON = {
    "model_type": "nemotron_h",
    "head_dim": 128,
    "mamba_head_dim": 64,
    "n_groups": 8,
    "ssm_state_size": 128,
    "mlp_hidden_act": "relu2",
}
NANO_V2 = shape(56, 4480, 15680, 40, 8, 131072) | NEMOTRON | {"mamba_num_heads": 128, "mamba_head_dim": 80}
NANO_V2 |= {"hybrid_override_pattern": "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-"}
NANO_3 = shape(52, 2688, 1856, 32, 2, 131072) | NEMOTRON | {"mamba_num_heads": 64}
NANO_3 |= {"hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"}
NANO_3 |= {"n_routed_experts": 128, "num_experts_per_tok": 6, "n_shared_experts": 1, "moe_intermediate_size": 1856}
NANO_3 |= {"moe_shared_expert_intermediate_size": 3712}
SUPER = shape(88, 4096, 2688, 32, 2, 131072) | NEMOTRON | {"mamba_num_heads": 128, "moe_latent_size": 1024}
SUPER |= {
    "hybrid_override_pattern": "MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*"
    "EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEME",
    "n_routed_experts": 512,
    "num_experts_per_tok": 22,
    "n_shared_experts": 1,
    "moe_intermediate_size": 2688,
    "moe_shared_expert_intermediate_size": 5376,
}
KIMI_LINEAR = shape(27, 2304, 9216, 32, 32, 163840, model_type="kimi_linear") | DEEPSEEK | {"q_lora_rank": None}
KIMI_LINEAR |= {"num_experts": 256, "num_experts_per_token": 8, "num_shared_experts": 1, "n_routed_experts": None}
KIMI_LINEAR |= {"moe_intermediate_size": 1024, "first_k_dense_replace": 1, "n_shared_experts": None}
KIMI_LINEAR |= {
    "linear_attn_config": {
        "full_attn_layers": [4, 8, 12, 16, 20, 24, 27],
        "kda_layers": [layer for layer in range(1, 27) if layer % 4],
        "head_dim": 128,
        "num_heads": 32,
        "short_conv_kernel_size": 4,
    }
}
GRANITE = shape(40, 4096, 768, 32, 8, 100352, model_type="granitemoehybrid", tie_word_embeddings=True)
GRANITE |= {"layer_types": (["mamba"] * 5 + ["attention"] + ["mamba"] * 4) * 4, "mamba_n_heads": 128}
GRANITE |= {"mamba_d_state": 128, "mamba_n_groups": 1, "mamba_expand": 2, "shared_intermediate_size": 1536}
GRANITE |= {"num_local_experts": 72, "num_experts_per_tok": 10}
MINIMAX = shape(80, 6144, 9216, 64, 8, 200064, model_type="minimax_text_01", head_dim=128)
MINIMAX |= {"attn_type_list": ([0] * 7 + [1]) * 10, "num_local_experts": 32, "num_experts_per_tok": 2}
GLM_5 = shape(78, 6144, 12288, 64, 64, 154880, model_type="glm_moe_dsa") | DEEPSEEK
GLM_5 |= {"q_lora_rank": 2048, "qk_nope_head_dim": 192, "v_head_dim": 256}
GLM_5 |= {"index_topk": 2048, "index_n_heads": 32, "index_head_dim": 128}
QWEN_35 = shape(64, 5120, 17408, 24, 4, 248320, model_type="qwen3_5_text") | DELTA | {"linear_num_value_heads": 48}

FALCON = shape(72, 5120, 21504, 20, 4, 261120, model_type="falcon_h1", head_dim=128)
FALCON |= {"mamba_d_ssm": 4096, "mamba_n_heads": 32, "mamba_d_head": 128, "mamba_d_state": 256, "mamba_n_groups": 2}
LFM = shape(16, 2048, 12288, 32, 8, 65536, model_type="lfm2", tie_word_embeddings=True, conv_L_cache=3)
LFM |= {"layer_types": ["full_attention" if i in (2, 5, 8, 10, 12, 14) else "conv" for i in range(16)]}
LFM |= {"block_ff_dim": 12288, "block_auto_adjust_ff_dim": True, "block_multiple_of": 256}
JAMBA = shape(72, 8192, 24576, 64, 8, 65536, model_type="jamba", num_experts=16, num_experts_per_tok=2)
JAMBA |= {"attn_layer_period": 8, "attn_layer_offset": 4, "expert_layer_period": 2, "expert_layer_offset": 1}
JAMBA |= {"mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 512}
MIMO = shape(48, 4096, 16384, 64, 4, 152576, model_type="mimo_v2_flash", head_dim=192, sliding_window=128)
MIMO |= {"hybrid_layer_pattern": [0, 1, 1, 1, 1, *([0] + [1] * 5) * 7, 0]}
MIMO |= {"moe_layer_freq": [0] + [1] * 47}
MIMO |= {"swa_num_attention_heads": 64, "swa_num_key_value_heads": 8, "swa_head_dim": 192, "swa_v_head_dim": 128}
MIMO |= {"n_routed_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "v_head_dim": 128}
STEP = shape(45, 4096, 11264, 64, 8, 128896, model_type="step3p5", head_dim=128, num_key_value_heads=None)
STEP |= {"num_attention_groups": 8, "layer_types": (["full_attention"] + ["sliding_attention"] * 3) * 12}
STEP |= {"attention_other_setting": {"num_attention_heads": 96, "num_attention_groups": 8, "head_dim": 128}}
STEP |= {"moe_num_experts": 288, "moe_top_k": 8, "moe_intermediate_size": 1280, "share_expert_dim": 1280}
STEP |= {"moe_layers_enum": ",".join(map(str, range(3, 45))), "sliding_window": 512}
GEMMA_4 = shape(30, 2816, 2112, 16, 8, 262144, model_type="gemma4_text", head_dim=256, tie_word_embeddings=True)
GEMMA_4 |= {"layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 5, "sliding_window": 1024}
GEMMA_4 |= {"attention_k_eq_v": True, "enable_moe_block": True, "global_head_dim": 512, "num_kv_shared_layers": 0}
GEMMA_4 |= {"num_global_key_value_heads": 2, "num_experts": 128, "top_k_experts": 8, "moe_intermediate_size": 704}
GEMMA_4 |= {"hidden_size_per_layer_input": 0}
LONGCAT = {"num_layers": 28, "hidden_size": 6144, "ffn_hidden_size": 12288, "num_attention_heads": 64}
LONGCAT |= {"vocab_size": 131072, "max_position_embeddings": 131072, "model_type": "longcat_flash"}
LONGCAT |= {"n_routed_experts": 512, "zero_expert_num": 256, "moe_topk": 12, "expert_ffn_hidden_size": 2048}
LONGCAT |= {key: DEEPSEEK[key] for key in ("kv_lora_rank", "q_lora_rank", "v_head_dim")}
LONGCAT |= {"qk_nope_head_dim": 128, "qk_rope_head_dim": 64}


def nas(attention: bool, factor: float) -> dict[str, Any]:
    """A layer of Llama-Nemotron Super."""
    return {
        "attention": {"n_heads_in_group": 8 if attention else None, "no_op": not attention},
        "ffn": {"ffn_mult": factor, "no_op": False},
    }


# config.json, parameters and active ones in billions, and who says so
PUBLISHED: dict[str, tuple[dict[str, Any], float, float | None]] = {
    "qwen3-next-80b": (NEXT, 80.0, None),  # model card: 80B
    "nemotron-nano-9b-v2": (NANO_V2, 8.89, None),  # its layers summed; the name rounds to 9B
    "nemotron-3-nano": (NANO_3, 31.6, 3.6),  # NVIDIA research page of it: with embeddings
    "nemotron-3-super": (SUPER, 120.0, None),  # arXiv:2604.12374, abstract
    "kimi-linear": (KIMI_LINEAR, 49.1, None),  # its layers summed; arXiv:2510.26692 rounds to 48B
    "granite-4.0-h-small": (GRANITE, 32.0, 9.0),  # Granite 4.0 model card: 32B, 9B active
    "granite-4.0-h-1b": (
        shape(40, 1536, 4096, 12, 4, 100352, model_type="granitemoehybrid", tie_word_embeddings=True)
        | {"layer_types": (["mamba"] * 5 + ["attention"] + ["mamba"] * 4) * 4, "mamba_n_heads": 48}
        | {"mamba_d_state": 128, "mamba_n_groups": 1, "mamba_expand": 2, "shared_intermediate_size": 4096}
        | {"num_local_experts": 0, "num_experts_per_tok": 0},
        1.46,  # Hugging Face model page
        None,
    ),
    "minimax-text-01": (MINIMAX, 456.0, None),  # MiniMax-01, arXiv:2501.08313, abstract
    "glm-5": (GLM_5, 744.0, None),  # GLM-5 model card
    "qwen3.5-27b": (QWEN_35, 27.0, None),  # its name, of which the vision encoder is 0.5
    "hunyuan-a13b": (
        shape(32, 4096, 3072, 32, 8, 128167, model_type="hunyuan_v1_moe", tie_word_embeddings=True, head_dim=128)
        | {"num_experts": 64, "moe_topk": [8] * 32, "moe_intermediate_size": [3072] * 32}
        | {"num_shared_expert": [1] * 32},
        80.0,  # model card: 80B and 13B
        13.0,
    ),
    "ernie-4.5-300b": (
        shape(54, 8192, 28672, 64, 8, 103424, model_type="ernie4_5_moe", tie_word_embeddings=True)
        | {"moe_num_experts": 64, "moe_k": 8, "moe_intermediate_size": 3584, "moe_layer_start_index": 3}
        | {"moe_num_shared_experts": 0},
        300.0,  # ERNIE 4.5 report: 300B and 47B
        47.0,
    ),
    "ling-mini-2.0": (
        shape(20, 2048, 5120, 16, 4, 157184, model_type="bailing_moe_v2", head_dim=128)
        | {"num_experts": 256, "num_experts_per_tok": 8, "num_shared_experts": 1, "moe_intermediate_size": 512}
        | {"first_k_dense_replace": 1},
        16.26,  # README of inclusionAI/Ling-V2: 16.26B, 1.43B active
        1.43,
    ),
    "seed-oss-36b": (shape(64, 5120, 27648, 80, 8, 155136, model_type="seed_oss", head_dim=128), 36.0, None),
    "glm-4-9b": (
        shape(40, 4096, 13696, 32, 2, 151552, model_type="glm4", head_dim=128, attention_bias=True),
        9.40,  # its layers summed; the name rounds to 9B
        None,
    ),
    "olmo3-7b": (shape(32, 4096, 11008, 32, 32, 100278, model_type="olmo3", sliding_window=4096), 7.3, None),
    "exaone-4-32b": (
        shape(64, 5120, 27392, 40, 8, 102400, model_type="exaone4", head_dim=128)
        | {"sliding_window": 4096, "sliding_window_pattern": "LLLG"},
        32.0,  # arXiv:2507.11407
        None,
    ),
    "k-exaone-236b": (
        shape(48, 6144, 18432, 64, 8, 153600, model_type="exaone_moe", head_dim=128)
        | {"sliding_window": 128, "sliding_window_pattern": 4, "first_k_dense_replace": 1}
        | {"num_experts": 128, "num_experts_per_tok": 8, "num_shared_experts": 1, "moe_intermediate_size": 2048},
        236.0,  # its name: 236B, 23B active
        23.0,
    ),
    "trinity-large": (
        shape(60, 3072, 12288, 48, 8, 200192, model_type="afmoe", head_dim=128, sliding_window=4096)
        | {"num_experts": 256, "num_experts_per_tok": 4, "num_shared_experts": 1, "moe_intermediate_size": 3072}
        | {"num_dense_layers": 6, "global_attn_every_n_layers": 4},
        400.0,  # model card: 398B of 400B, 13B active
        13.0,
    ),
    "hy3": (
        shape(80, 4096, 13312, 64, 8, 120832, model_type="hy_v3", head_dim=128)
        | {"num_experts": 192, "num_experts_per_tok": 8, "num_shared_experts": 1, "moe_intermediate_size": 1536},
        295.0,  # model card: 295B and 21B
        21.0,
    ),
    "solar-open-100b": (
        shape(48, 4096, 10240, 64, 8, 196608, model_type="solar_open", head_dim=128, intermediate_size=None)
        | {"n_routed_experts": 128, "num_experts_per_tok": 8, "n_shared_experts": 1, "moe_intermediate_size": 1280},
        102.6,  # model card: 102.6B and 12B
        12.0,
    ),
    "a.x-k1": (
        shape(61, 7168, 18432, 64, 64, 163840, model_type="axk1")
        | DEEPSEEK
        | {"n_routed_experts": 192, "first_k_dense_replace": 1},
        519.0,  # model card: 519B and 33B
        33.0,
    ),
    "mistral-small-4": (
        shape(36, 4096, 12288, 32, 32, 131072, model_type="mistral4")
        | {"n_routed_experts": 128, "num_experts_per_tok": 4, "n_shared_experts": 1, "moe_intermediate_size": 2048}
        | {"first_k_dense_replace": 0, "kv_lora_rank": 256, "q_lora_rank": 1024, "qk_nope_head_dim": 64}
        | {"qk_rope_head_dim": 64, "v_head_dim": 128},
        119.0,  # its name: 119B; model card: 6.5B active
        6.5,
    ),
    "dbrx": (
        {"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "max_seq_len": 32768}
        | {"vocab_size": 100352, "attn_config": {"kv_n_heads": 8}, "tie_word_embeddings": False}
        | {"ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}},
        132.0,  # model card: 132B and 36B
        36.0,
    ),
    "arctic": (
        shape(35, 7168, 4864, 56, 8, 32000, model_type="arctic", num_local_experts=128, num_experts_per_tok=2),
        480.0,  # model card: 480B and 17B
        17.0,
    ),
    "olmo-hybrid-7b": (
        shape(32, 3840, 11008, 30, 30, 100352, model_type="olmo_hybrid"),
        7.43,  # what the class of transformers holds; the name rounds to 7B
        None,
    ),
    "bamba-9b": (
        shape(32, 4096, 14336, 32, 8, 128256, model_type="bamba", attn_layer_indices=[9, 18, 27], mamba_d_state=128)
        | {"mamba_n_heads": 128, "mamba_d_head": 64, "mamba_n_groups": 1},
        9.78,  # Hugging Face model page
        None,
    ),
    "jamba-large": (JAMBA, 398.0, 94.0),  # arXiv:2408.12570: 94B active, 398B in all
    "jamba-mini": (
        JAMBA
        | {"num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32}
        | {"mamba_dt_rank": 256},
        52.0,  # arXiv:2408.12570: 12B active, 52B in all
        12.0,
    ),
    "falcon-mamba-7b": (
        {"model_type": "falcon_mamba", "hidden_size": 4096, "num_hidden_layers": 64, "intermediate_size": 8192}
        | {"vocab_size": 65024, "tie_word_embeddings": False, "state_size": 16, "conv_kernel": 4, "expand": 16}
        | {"time_step_rank": 256},
        7.27,  # Hugging Face model page
        None,
    ),
    "mamba-codestral-7b": (
        {"model_type": "mamba2", "hidden_size": 4096, "num_hidden_layers": 64, "num_heads": 128, "head_dim": 64}
        | {"state_size": 128, "n_groups": 8, "expand": 2, "vocab_size": 32768, "tie_word_embeddings": False},
        7.285403648,  # model card: 7,285,403,648
        None,
    ),
    "falcon-h1-34b": (FALCON, 33.6, None),  # Hugging Face model page
    "lfm2-1.2b": (LFM, 1.17, None),  # arXiv:2511.23404, table 1
    "lfm2-8b-a1b": (
        shape(24, 2048, 7168, 32, 8, 65536, model_type="lfm2_moe", tie_word_embeddings=True, conv_L_cache=3)
        | {"layer_types": ["full_attention" if i in (2, 6, 10, 14, 18, 21) else "conv" for i in range(24)]}
        | {"num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 1792, "num_dense_layers": 2},
        8.34,  # model card: 8.3B; 1.5B active, of 1.56
        None,
    ),
    "longcat-flash": (LONGCAT, 560.0, None),  # arXiv:2509.01322, abstract
    "mimo-v2-flash": (MIMO, 309.0, 15.0),  # model card: 309B and 15B
    "step-3.5-flash": (STEP, 196.8, None),  # model card: 196.81B
    "gemma-4-26b": (GEMMA_4, 25.2, 3.8),  # model card: 25.2B and 3.8B
    "phi-3.5-moe": (
        shape(32, 4096, 6400, 32, 8, 32064, model_type="phimoe", num_local_experts=16, num_experts_per_tok=2)
        | {"attention_bias": True},
        41.9,  # model card: 41.9B and 6.6B
        6.6,
    ),
    "minicpm3-4b": (
        shape(62, 2560, 6400, 40, 40, 73448, model_type="minicpm3", tie_word_embeddings=True)
        | {"kv_lora_rank": 256, "q_lora_rank": 768, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32}
        | {"v_head_dim": 64},
        4.07,  # Hugging Face model page
        None,
    ),
    "apertus-8b": (
        shape(32, 4096, 21504, 32, 8, 131072, model_type="apertus", hidden_act="xielu"),
        8.05,  # Hugging Face model page
        None,
    ),
    "glm-4-9b-chat": (
        {"model_type": "chatglm", "num_layers": 40, "hidden_size": 4096, "ffn_hidden_size": 13696}
        | {"num_attention_heads": 32, "multi_query_attention": True, "multi_query_group_num": 2, "kv_channels": 128}
        | {"padded_vocab_size": 151552, "seq_length": 131072, "add_qkv_bias": True, "tie_word_embeddings": False},
        9.40,  # Hugging Face model page
        None,
    ),
    "baichuan2-13b": (
        shape(40, 5120, 13696, 40, 40, 125696, model_type="baichuan", max_position_embeddings=None)
        | {"model_max_length": 4096},
        13.90,  # Hugging Face model page
        None,
    ),
    "qwen-72b": (
        shape(80, 8192, 49152, 64, 64, 152064, model_type="qwen", num_key_value_heads=None, seq_length=32768),
        72.3,  # Hugging Face model page
        None,
    ),
    "mpt-7b": (
        {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4}
        | {"max_seq_len": 2048, "vocab_size": 50432, "no_bias": True, "attn_config": {"alibi": True}},
        6.65,  # Hugging Face model page
        None,
    ),
    "starcoder": (
        {"model_type": "gpt_bigcode", "n_embd": 6144, "n_head": 48, "n_layer": 40, "n_inner": 24576}
        | {"n_positions": 8192, "vocab_size": 49152, "multi_query": True, "activation_function": "gelu_pytorch_tanh"},
        15.5,  # model card: 15.5B
        None,
    ),
    "gpt-j-6b": (
        {"model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_layer": 28, "n_inner": None, "n_positions": 2048}
        | {"vocab_size": 50400, "activation_function": "gelu_new", "tie_word_embeddings": False},
        6.05,  # Hugging Face model page
        None,
    ),
    "gpt-neo-2.7b": (
        {"model_type": "gpt_neo", "hidden_size": 2560, "num_heads": 20, "num_layers": 32, "intermediate_size": None}
        | {"max_position_embeddings": 2048, "vocab_size": 50257, "window_size": 256}
        | {"attention_types": [[["global", "local"], 16]], "activation_function": "gelu_new"},
        2.65,  # Hugging Face model page
        None,
    ),
}


def write(folder: Path, config: dict[str, Any]) -> Path:
    """The folder, with the configuration in it."""
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_adds_up_to_the_published_count(tmp_path: Path, name: str) -> None:
    """Within 1 %; active ones within 3 %, as they are published as whole billions."""
    config, total, active = PUBLISHED[name]
    model = read_config(write(tmp_path, config))
    assert parameters(model).total / 1e9 == pytest.approx(total, rel=0.01)
    if active is not None:
        assert active_parameters(model) / 1e9 == pytest.approx(active, rel=0.03)


@pytest.mark.parametrize(
    ("config", "published", "off"),
    [
        (MINIMAX, 45.9, 0.003),  # abstract of arXiv:2501.08313
        (LONGCAT, 27.0, 0.03),  # arXiv:2509.01322: on average; some of a token's experts do nothing
        (STEP, 11.0, 0.03),  # model card
    ],
    ids=["minimax", "longcat", "step-3.5"],
)
def test_active_parameters_without_embedding_and_head(
    tmp_path: Path, config: dict[str, Any], published: float, off: float
) -> None:
    """Where publishers leave them out."""
    model = read_config(write(tmp_path, config))
    parts = parameters(model)
    assert (active_parameters(model) - parts.embedding - parts.head) / 1e9 == pytest.approx(published, rel=off)


def test_every_second_layer_of_gpt_neo_has_a_window(tmp_path: Path) -> None:
    """`attention_types` repeats a list of kinds; the file has no list of layers."""
    model = read_config(write(tmp_path, PUBLISHED["gpt-neo-2.7b"][0]))
    assert letters(model)[:4] == ["*", "W", "*", "W"]
    assert model.window == 256


def test_one_key_and_value_of_starcoder_and_two_of_chatglm(tmp_path: Path) -> None:
    """Multi-query attention has one, groups have as many as the file says."""
    assert read_config(write(tmp_path, PUBLISHED["starcoder"][0])).kv_heads == 1
    assert read_config(write(tmp_path, PUBLISHED["glm-4-9b-chat"][0])).kv_heads == 2


def test_alibi_of_the_larger_baichuan(tmp_path: Path) -> None:
    """It says model_max_length; the smaller one says max_position_embeddings and has rotary positions."""
    larger = PUBLISHED["baichuan2-13b"][0]
    assert read_config(write(tmp_path, larger)).position == "alibi"
    assert read_config(write(tmp_path, larger | {"max_position_embeddings": 4096})).position == "rope"


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        (NANO_V2, {"M": 27, "-": 25, "*": 4}),  # arXiv:2508.14444: four attention layers, the rest as many MLPs
        (NANO_3, {"M": 23, "E": 23, "*": 6}),  # model card: 23 Mamba-2 and MoE layers each, 6 attention
        (NEXT, {"G": 36, "*": 12}),  # model card: 12 * (3 * (DeltaNet -> MoE) -> (attention -> MoE))
        (KIMI_LINEAR, {"G": 20, "*": 7}),  # arXiv:2510.26692: three to one
        (MINIMAX, {"L": 70, "*": 10}),  # arXiv:2501.08313: a softmax layer after every seven of lightning
        (GRANITE, {"M": 36, "*": 4}),  # model card
        (JAMBA, {"S": 63, "*": 9}),  # arXiv:2408.12570: one of attention to seven of Mamba
        (FALCON, {"H": 72}),  # arXiv:2507.22448: attention and SSM in every block
        (LFM, {"C": 10, "*": 6}),  # arXiv:2511.23404: ten convolutions, six of attention
        (MIMO, {"W": 39, "*": 9}),  # model card: eight blocks of five windows and one full layer, the first is full
        (STEP, {"W": 33, "*": 12}),  # model card: three windows for one full layer
    ],
    ids=[
        "nano-v2",
        "nano-3",
        "next",
        "kimi",
        "minimax",
        "granite",
        "jamba",
        "falcon-h1",
        "lfm2",
        "mimo-v2",
        "step-3.5",
    ],
)
def test_layers_by_kind(tmp_path: Path, config: dict[str, Any], counts: dict[str, int]) -> None:
    """As many layers of each kind as the report says."""
    assert Counter(letters(read_config(write(tmp_path, config)))) == counts


@pytest.mark.parametrize(
    ("config", "elements"),
    [
        # 25 windows of 8 heads with 2*256, 5 full layers of 2 heads with 2*512: elements of a token inside the window
        (GEMMA_4, 25 * 8 * 512 + 5 * 2 * 1024),
        (MIMO, 39 * 8 * (192 + 128) + 9 * 4 * (192 + 128)),
        (FALCON, 72 * 2 * 4 * 128),
        (LFM, 6 * 2 * 8 * 64),
    ],
    ids=["gemma-4", "mimo-v2", "falcon-h1", "lfm2"],
)
def test_keys_and_values_of_a_token(tmp_path: Path, config: dict[str, Any], elements: int) -> None:
    """Of all layers, each with the heads and widths that its kind has."""
    model = read_config(write(tmp_path, config))
    share = Share(1.0, 1.0)
    caches = [(count, op.cache) for count, op in held(model, share) if op.cache is not None]
    assert sum(count * float(cache.each) for count, cache in caches) == elements


NAS_RUNS = [(True, 2.625, 1), (True, 5.25, 5), (False, 2.625, 2), (True, 5.25, 3), (False, 3.28125, 1)]
NAS_RUNS += [(True, 5.25, 30), (False, 1.3125, 1), (False, 2.625, 2), (False, 1.3125, 1), (False, 5.25, 1)]
NAS_RUNS += [(False, 1.3125, 1), (False, 2.625, 1), (False, 1.3125, 3), (True, 5.25, 1), (False, 1.3125, 1)]
NAS_RUNS += [(False, 1.0, 2), (False, 1.3125, 1), (False, 1.0, 3), (False, 1.3125, 2), (False, 0.5, 2)]
NAS_RUNS += [(False, 1.0, 2), (False, 0.5, 2), (False, 1.0, 1), (False, 0.5, 2), (True, 5.25, 9)]
"""block_configs of nvidia/Llama-3_3-Nemotron-Super-49B-v1: attention, ffn_mult, and layers in a row."""


def test_scans_alone_hold_states_and_no_keys(tmp_path: Path) -> None:
    """Falcon Mamba: 8,192 columns of 16 states in fp32 and three tokens of a convolution in 16 bit, layer by layer."""
    model = read_config(write(tmp_path, PUBLISHED["falcon-mamba-7b"][0]))
    caches = [(count, op.cache) for count, op in held(model, Share(1.0, 1.0)) if op.cache is not None]
    assert sum(count * float(cache.each) for count, cache in caches) == 0
    assert sum(count * float(cache.state) for count, cache in caches) == 64 * (8192 * 16 * 4 + 8192 * 3 * 2)


def test_experts_of_jamba_stand_in_every_second_layer(tmp_path: Path) -> None:
    """The second, the fourth and so on; one expert is a dense part (Jamba Reasoning 3B)."""
    model = read_config(write(tmp_path, JAMBA))
    found = structure(model)
    kinds = [found.kinds[kind] for kind in found.order]
    assert sum(isinstance(kind, Block) and isinstance(kind.feed, Experts) for kind in kinds) == 36
    assert model.moe is not None and (model.moe.dense_layers, model.moe.every) == (1, 2)
    assert read_config(write(tmp_path, JAMBA | {"num_experts": 1})).moe is None


def test_layers_that_share_a_choice(tmp_path: Path) -> None:
    """GLM-5.2: 21 of 78 layers have an indexer, the others attend to what the last of these chose.

    Each of the 57 saves h*(d + n) + 2*d + r*n*d parameters; what the class of transformers holds is 743.377 B.
    """
    shared = GLM_5 | {"indexer_types": ["full"] * 3 + (["shared"] * 3 + ["full"]) * 18 + ["shared"] * 3}
    shared |= {"index_n_heads": 32}
    model, plain = read_config(write(tmp_path, shared)), read_config(write(tmp_path, GLM_5))
    saved = 57 * (6144 * (128 + 32) + 2 * 128 + 2048 * 32 * 128)
    assert parameters(plain).total - parameters(model).total == saved
    assert parameters(model).total / 1e9 == pytest.approx(743.377, rel=1e-6)
    keys = [count for count, op in held(model, Share(1.0, 1.0)) if op.name == "index scores"]
    assert sum(keys) == 21


def test_layers_of_different_widths(tmp_path: Path) -> None:
    """Llama-Nemotron Super 49B: layers without attention, and widths that differ; 49.9 B on its model page."""
    config = shape(80, 8192, 1, 64, 8, 128256, model_type="nemotron-nas") | {"intermediate_size": None}
    config |= {"num_key_value_heads": None, "block_configs": [nas(a, f) for a, f, n in NAS_RUNS for _ in range(n)]}
    model = read_config(write(tmp_path, config))
    assert (model.layers, model.kv_heads, model.ffn, letters(model).count("*")) == (80, 8, 28672, 49)
    assert (model.ffns[0], model.ffns[40]) == (14336, 28672)
    assert parameters(model).total / 1e9 == pytest.approx(49.87, rel=1e-4)


def test_a_decoder_inside_a_vision_language_model(tmp_path: Path) -> None:
    """Qwen3-VL-8B reads as the Qwen3-8B inside: 8.19 B without its vision encoder."""
    text = shape(36, 4096, 12288, 32, 8, 151936, model_type="qwen3_vl_text", head_dim=128)
    model = read_config(write(tmp_path, {"model_type": "qwen3_vl", "text_config": text, "vision_config": {}}))
    assert parameters(model).total == 8_190_735_360
    assert model.text_only


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (NEMOTRON | NANO_V2 | {"hybrid_override_pattern": "MX"}, "hybrid_override_pattern"),
        (GLM_5 | {"indexer_types": ["shared", "full"]}, "indexer_types: .*: only full and shared"),
        (KIMI_LINEAR | {"mla_use_output_gate": True}, "mla_use_output_gate: true"),
        (KIMI_LINEAR | {"linear_attn_config": None}, "linear_attn_config: null"),
        (GEMMA_4 | {"num_kv_shared_layers": 20}, "num_kv_shared_layers: 20: layers that share"),
        (GEMMA_4 | {"hidden_size_per_layer_input": 256}, "hidden_size_per_layer_input: 256: layers that share"),
        (STEP | {"moe_layers_enum": "3,5"}, "moe_layers_enum: .*: only leading layers"),
        (LFM | {"layer_types": ["mamba"] * 16}, "layer_types: .*: only conv and full_attention"),
        (NEXT | {"layer_types": ["mystery"] * 48}, "layer_types: .*: only full_attention"),
    ],
)
def test_variants_that_cannot_be_said_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    """With the key that cannot be said."""
    with pytest.raises(UnsupportedArchitecture, match=message):
        read_config(write(tmp_path, config))
