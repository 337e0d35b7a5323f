"""What tells one Hugging Face `model_type` from another: how its keys become a shape.

One row per type. Class defaults stand for keys that a file leaves out; they are those of transformers,
src/transformers/models/<model_type>/configuration_<model_type>.py.
"""

from __future__ import annotations

from dataclasses import replace

from planner.catalog import huggingface_experts as experts
from planner.catalog import huggingface_family as family
from planner.catalog import huggingface_layers as shapes
from planner.catalog import huggingface_mixers as mixers
from planner.catalog.huggingface_family import Family

_LLAMA = Family()
_DEEPSEEK = Family(moe=experts.deepseek_moe, mla=True)
_GPT = Family(tied=True, gated=False, bias="all", norm="layernorm", position="learned", four_h=True, bias_key=None)
_GPTJ = replace(
    _GPT,
    tied=False,
    bias="none",
    position="rope",
    note="Biases of the feed-forward part and of the head are left out, and one norm more a layer is counted.",
)
_BAILING = Family(moe=experts.deepseek_moe, bias_key=("use_qkv_bias", False, "qkv"))
_EXAONE = Family(window=family.exaone_pattern, qk_norm="heads", bias_key=None)
_HUNYUAN = Family(tied=True, qk_norm="heads", qk_key=("use_qk_norm", True))
_LFM2 = Family(tied=True, qk_norm="heads", layers=shapes.lfm2, bias_key=None)
_MINIMAX = Family(moe=experts.uniform_moe, layers=mixers.minimax, bias_key=None)
_MISTRAL = Family(window=family.no_full_layers, defaults={"num_key_value_heads": 8}, bias_key=None)
_QWEN_NEXT = Family(qk_norm="heads", layers=mixers.qwen_next)
_MAMBA2 = {"mamba_expand": 2, "mamba_n_heads": 128, "mamba_d_state": 256}
_ENDLESS = {"num_attention_heads": 1, "max_position_embeddings": 2**20}
"""A scan has no heads of attention and no longest sequence."""
_GEMMA3_TEXT = {
    "vocab_size": 262208,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 131072,
    "sliding_window": 4096,
}

FAMILIES: dict[str, Family] = {
    "afmoe": Family(
        moe=experts.deepseek_moe,
        window=family.full_every(4, "global_attn_every_n_layers"),
        norms=4,
        qk_norm="heads",
        layers=mixers.gated,
        defaults={"head_dim": 128, "num_dense_layers": 1},
    ),
    "apertus": Family(gated=False, qk_norm="heads"),
    "arcee": Family(gated=False, activation="relu2"),
    "arctic": Family(moe=experts.arctic_moe),
    "axk1": _DEEPSEEK,
    "baichuan": Family(bias_key=None, layers=mixers.baichuan),
    "bailing_moe": _BAILING,
    "bailing_moe_v2": replace(_BAILING, qk_norm="heads", qk_key=("use_qk_norm", True)),
    "bamba": Family(layers=mixers.bamba, defaults=_MAMBA2),
    "bloom": replace(_GPT, position="alibi", defaults={"seq_length": 2048}),
    "chatglm": Family(bias_key=("add_qkv_bias", False, "qkv"), layers=mixers.chatglm),
    "codegen": _GPTJ,
    "cohere": Family(tied=True, norm="layernorm"),
    "cohere2": Family(tied=True, norm="layernorm", window=family.full_every(4)),
    "cwm": Family(window=family.full_every(4), defaults={"head_dim": 128}),
    "dbrx": Family(norm="layernorm", moe=experts.uniform_moe, bias_key=None, inside=("attn_config", "ffn_config")),
    "deepseek": Family(moe=experts.deepseek_moe),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "deepseek_v32": _DEEPSEEK,
    "dots1": Family(moe=experts.deepseek_moe, qk_norm="heads", window=family.first_layers),
    "ernie4_5": Family(tied=True, bias_key=("use_bias", False, "all")),
    "ernie4_5_moe": Family(tied=True, bias_key=("use_bias", False, "all"), moe=experts.ernie_moe),
    "exaone": _LLAMA,
    "exaone4": _EXAONE,
    "exaone_moe": replace(_EXAONE, moe=experts.deepseek_moe, defaults={"first_k_dense_replace": 1}),
    "falcon": Family(
        tied=True,
        gated=False,
        bias_key=("bias", False, "all"),
        norm="layernorm",
        four_h=True,
        defaults={"max_position_embeddings": 2048},
    ),
    "falcon_h1": Family(layers=shapes.falcon_h1, defaults=_MAMBA2),
    "falcon_mamba": Family(tied=True, position="none", layers=shapes.mamba1, bias_key=None, defaults=_ENDLESS),
    "flex_olmo": Family(moe=experts.uniform_moe, qk_norm="wide"),
    "gemma": Family(tied=True, defaults={"head_dim": 256, "num_key_value_heads": 16}),
    "gemma2": Family(
        tied=True,
        window=family.full_every(2),
        norms=4,
        defaults={"head_dim": 256, "num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "gemma3_text": Family(tied=True, window=family.full_every(6), norms=4, qk_norm="heads", defaults=_GEMMA3_TEXT),
    "gemma4_text": Family(
        tied=True, norms=4, qk_norm="heads", moe=shapes.gemma4_moe, layers=shapes.gemma4, defaults={"head_dim": 256}
    ),
    "glm": Family(bias_key=("attention_bias", True, "qkv")),
    "glm4": Family(norms=4),
    "glm4_moe": Family(
        moe=experts.deepseek_moe, qk_norm="heads", qk_key=("use_qk_norm", False), defaults={"num_key_value_heads": 8}
    ),
    "glm4_moe_lite": _DEEPSEEK,
    "glm_moe_dsa": _DEEPSEEK,
    "gpt2": replace(_GPT, dropout={"attn_pdrop": 0.1, "resid_pdrop": 0.1}, check=family.check_gpt2),
    "gpt_bigcode": _GPT,
    "gpt_neo": replace(
        _GPT,
        window=family.gpt_neo_pattern,
        defaults={"window_size": 256},
        note="Its queries, keys and values have no bias: a few more parameters are counted.",
    ),
    "gpt_neox": replace(_GPT, tied=False, position="rope", four_h=False, check=family.check_gpt_neox),
    "gpt_oss": Family(
        bias="all",
        moe=experts.gpt_oss_moe,
        sinks=True,
        window=family.full_every(2),
        defaults={"head_dim": 64, "num_key_value_heads": 8, "sliding_window": 128},
        bias_key=None,
    ),
    "gptj": _GPTJ,
    "granite": _LLAMA,
    "granitemoe": Family(moe=experts.uniform_moe),
    "granitemoehybrid": Family(
        position="none", layers=mixers.granite, defaults={**_MAMBA2, "shared_intermediate_size": 1024}
    ),
    "granitemoeshared": Family(moe=experts.granite_moe),
    "helium": Family(defaults={"head_dim": 128}),
    "hunyuan_v1_dense": _HUNYUAN,
    "hunyuan_v1_moe": replace(_HUNYUAN, moe=experts.hunyuan_moe, defaults={"num_shared_expert": 1}),
    "hy_v3": Family(moe=experts.deepseek_moe, qk_norm="heads", defaults={"first_k_dense_replace": 1}),
    "hyperclovax": Family(layers=mixers.hyperclovax),
    "internlm": Family(bias_key=("bias", True, "qkv")),
    "internlm2": Family(bias_key=("bias", False, "qkv")),
    "internlm3": Family(bias_key=("qkv_bias", False, "qkv")),
    "iquestcoder": _LLAMA,
    "jais2": Family(gated=False, activation="relu2", norm="layernorm", bias_key=("attention_bias", True, "all")),
    "jamba": Family(position="none", moe=shapes.jamba_moe, layers=shapes.jamba, bias_key=None),
    "kimi_k2": _DEEPSEEK,
    "kimi_linear": Family(
        mla=True, moe=experts.deepseek_moe, position="none", layers=mixers.kimi_linear, bias_key=None
    ),
    "lfm2": _LFM2,
    "lfm2_moe": replace(_LFM2, moe=experts.deepseek_moe, defaults={"num_dense_layers": 2}),
    "llama": _LLAMA,
    "llama4_text": Family(
        moe=experts.llama4_moe,
        window=family.llama4_pattern,
        defaults={"head_dim": 128, "num_key_value_heads": 8, "attention_chunk_size": 8192},
    ),
    "longcat_flash": Family(
        mla=True,
        moe=shapes.longcat_moe,
        layers=shapes.longcat,
        bias_key=None,
        note="Each layer has attention and a dense part twice, and is two here; its experts that do nothing count not.",
    ),
    "mamba": Family(tied=True, position="none", layers=shapes.mamba1, bias_key=None, defaults=_ENDLESS),
    "mamba2": Family(position="none", layers=shapes.mamba2, bias_key=None, defaults=_ENDLESS),
    "mimo": Family(bias_key=("attention_bias", True, "qkv")),
    "mimo_v2_flash": Family(
        moe=experts.deepseek_moe, layers=shapes.mimo_v2, defaults={"head_dim": 192, "sliding_window": 128}
    ),
    "minicpm": Family(tied=True),
    "minicpm3": Family(mla=True, tied=True, defaults={"v_head_dim": 64}),
    "minimax": _MINIMAX,
    "minimax_m1": _MINIMAX,
    "minimax_m2": Family(
        moe=experts.uniform_moe,
        qk_norm="wide",
        qk_key=("use_qk_norm", True),
        defaults={"head_dim": 128, "num_key_value_heads": 8},
        bias_key=None,
    ),
    "minimax_text_01": _MINIMAX,
    "ministral": Family(window=family.no_full_layers),
    "ministral3": _LLAMA,
    "mistral": _MISTRAL,
    "mistral4": Family(moe=experts.deepseek_moe, mla=True, bias_key=None),
    "mixtral": replace(_MISTRAL, moe=experts.uniform_moe),
    "mpt": replace(_GPT, bias="none", position="alibi", inside=("attn_config",), defaults={"max_seq_len": 2048}),
    "nemotron": Family(gated=False, activation="relu2", norm="layernorm"),
    "nemotron-nas": Family(layers=shapes.nemotron_nas),
    "nemotron_h": Family(gated=False, activation="relu2", position="none", layers=mixers.nemotron_h),
    "olmo": Family(norm="layernorm"),
    "olmo2": Family(qk_norm="wide"),
    "olmo3": Family(window=family.full_every(4), qk_norm="wide", defaults={"sliding_window": 4096}),
    "olmo_hybrid": Family(qk_norm="wide", layers=mixers.olmo_hybrid),
    "olmoe": Family(moe=experts.uniform_moe, qk_norm="wide"),
    "opt": replace(
        _GPT,
        activation="relu",
        bias="none",
        bias_key=("enable_bias", True, "all"),
        four_h=False,
        dropout={"dropout": 0.1},
        check=family.check_opt,
    ),
    "orion": Family(norm="layernorm"),
    "persimmon": Family(gated=False, activation="relu2", bias="all", norm="layernorm", qk_norm="heads", bias_key=None),
    "phi": Family(gated=False, bias="all", norm="layernorm", dropout={"attention_dropout": 0.0}, bias_key=None),
    "phi3": Family(window=family.no_full_layers, bias_key=None),
    "phimoe": Family(norm="layernorm", moe=experts.uniform_moe, defaults={"num_key_value_heads": 8}),
    "qwen": Family(bias="qkv", layers=mixers.qwen, bias_key=None),
    "qwen2": Family(
        bias="qkv",
        window=family.qwen_pattern,
        defaults={"num_key_value_heads": 32, "sliding_window": 4096},
        bias_key=None,
    ),
    "qwen2_moe": Family(
        bias_key=("qkv_bias", True, "qkv"),
        moe=experts.qwen_moe,
        window=family.qwen2_moe_pattern,
        defaults={"num_key_value_heads": 16, "sliding_window": 4096},
    ),
    "qwen3": Family(
        window=family.qwen_pattern,
        qk_norm="heads",
        defaults={"head_dim": 128, "num_key_value_heads": 32, "sliding_window": 4096},
    ),
    "qwen3_5_moe_text": replace(_QWEN_NEXT, moe=experts.qwen_moe),
    "qwen3_5_text": _QWEN_NEXT,
    "qwen3_moe": Family(
        moe=experts.qwen_moe,
        window=family.optional_window,
        qk_norm="heads",
        defaults={"num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "qwen3_next": replace(_QWEN_NEXT, moe=experts.qwen_moe, defaults={"head_dim": 256, "num_key_value_heads": 2}),
    "sarvam_mla": _DEEPSEEK,
    "seed_oss": Family(bias_key=("attention_bias", True, "qkv")),
    "smollm3": Family(tied=True, defaults={"num_key_value_heads": 4}),
    "solar_open": Family(moe=experts.deepseek_moe, defaults={"head_dim": 128, "num_key_value_heads": 8}),
    "stablelm": Family(norm="layernorm", bias_key=("use_qkv_bias", False, "qkv"), defaults={"num_key_value_heads": 32}),
    "starcoder2": Family(
        tied=True,
        gated=False,
        bias_key=("use_bias", True, "all"),
        norm="layernorm",
        window=family.no_full_layers,
        defaults={"num_key_value_heads": 2},
    ),
    "step3p5": Family(
        qk_norm="heads",
        moe=shapes.step3p5_moe,
        layers=shapes.step3p5,
        defaults={"sliding_window": 512, "moe_num_experts": 288, "moe_top_k": 8},
        note="The gate of each head is left out.",
    ),
    "vaultgemma": Family(
        tied=True,
        window=family.full_every(2),
        defaults={"head_dim": 256, "num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "xverse": _LLAMA,
    "Yi": _LLAMA,
    "youtu": Family(mla=True, tied=True),
}
"""Every `model_type` that is read."""
