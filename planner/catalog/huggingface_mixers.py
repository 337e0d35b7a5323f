"""What a config.json says of layers that are more than attention: patterns, and the shapes behind their letters.

Keys and defaults are those of transformers, src/transformers/models/<model_type>/configuration_<model_type>.py, or of
the file beside the weights where a model has its own code.
"""

from __future__ import annotations

from planner.catalog.huggingface_config import Config, Fields

LETTERS = {"full_attention": "*", "attention": "*", "sliding_attention": "W", "moe": "E", "mlp": "-", "mamba": "M"}


def lettered(config: Config, key: str, recurrent: str) -> str:
    """The letters of a list of layer types, of which "linear_attention" is the family's own mixer; "" for no list."""
    known = LETTERS | {"linear_attention": recurrent}
    kinds = config.listed(key)
    if any(kind not in known for kind in kinds):
        raise config.refuse(key, f"only {', '.join(known)} are expressed")
    return "".join(known[kind] for kind in kinds)


def qwen_next(config: Config) -> Fields:
    """Qwen3-Next and Qwen3.5: one layer in `full_attention_interval` has gated attention, the others a delta rule."""
    every = config.integer("full_attention_interval") or 4
    return {"pattern": lettered(config, "layer_types", "G") or "G" * (every - 1) + "*"}


def nemotron_h(config: Config) -> Fields:
    """Nemotron-H and Nemotron-3: layers of one part each, in the letters of `hybrid_override_pattern`."""
    written = config.values.get("hybrid_override_pattern")
    pattern = written if isinstance(written, str) else lettered(config, "layers_block_type", "M")
    if set(pattern) - set("ME*-") or not pattern:
        raise config.refuse("hybrid_override_pattern", "only the letters M, E, * and - are expressed")
    return {
        "layers": len(pattern),
        "pattern": pattern,
        "moe": config.shape("nemotron") if "E" in pattern else None,
    }


def baichuan(config: Config) -> Fields:
    """Baichuan 2: the model of 13B, whose file says model_max_length, has ALiBi, that of 7B rotary positions."""
    return {} if config.integer("max_position_embeddings") else {"position": "alibi"}


def chatglm(config: Config) -> Fields:
    """ChatGLM 2 to GLM-4: groups of queries only where they are switched on."""
    groups = config.need("multi_query_group_num") if config.flag("multi_query_attention") else config.need("heads")
    return {"kv_heads": groups}


def qwen(config: Config) -> Fields:
    """Qwen 1: `intermediate_size` is that of gate and up together."""
    return {"ffn": config.need("ffn") // 2}


def hyperclovax(config: Config) -> Fields:
    """HyperCLOVA X: a second norm behind each part."""
    return {"norms": 4 if config.flag("use_post_norm", True) else 2}


def olmo_hybrid(config: Config) -> Fields:
    """Olmo Hybrid: three layers of the gated delta rule, then one of attention."""
    heads = config.need("heads")
    keys = config.integer("linear_num_key_heads") or heads
    dim = config.integer("linear_key_head_dim") or 3 * (config.need("hidden") // heads) // 4
    return {
        "pattern": lettered(config, "layer_types", "G") or "GGG*",
        "delta_rule": {
            "key_heads": keys,
            "value_heads": config.integer("linear_num_value_heads") or keys,
            "key_dim": dim,
            "value_dim": config.integer("linear_value_head_dim") or 2 * dim,
            "conv": config.integer("linear_conv_kernel_dim") or 4,
        },
    }


def bamba(config: Config) -> Fields:
    """Bamba: Mamba-2 in all layers but those of `attn_layer_indices`, then a dense part."""
    full = config.listed("attn_layer_indices")
    pattern = "".join("*" if layer in full else "M" for layer in range(config.need("layers")))
    return {"pattern": pattern, "state_space": mamba(config)}


def mamba(config: Config, inner: int = 0) -> Fields:
    """The keys of Bamba, Granite 4 and Falcon-H1."""
    found, inner = config.shape("mamba"), inner or config.need("mamba_expand") * config.need("hidden")
    return found | {"head_dim": inner // found["heads"]}


def granite(config: Config) -> Fields:
    """Granite 4: Mamba-2 or attention, then experts beside a shared part, or that part alone."""
    return {
        "pattern": lettered(config, "layer_types", "M") or "M",
        "ffn": config.need("shared_intermediate_size"),
        "moe": config.shape("granite_hybrid") if config.whole("num_local_experts") else None,
        "state_space": mamba(config),
    }


def minimax(config: Config) -> Fields:
    """MiniMax-Text-01 and M1: seven layers of lightning attention, one of softmax attention."""
    written = "".join("*" if kind else "L" for kind in config.listed("attn_type_list"))
    pattern = written or lettered(config, "layer_types", "L") or "*L"
    heads = config.need("heads")
    dim = config.integer("head_dim") or config.need("hidden") // heads
    return {"pattern": pattern, "lightning": {"heads": heads, "head_dim": dim}}


def kimi_linear(config: Config) -> Fields:
    """Kimi Linear: latent attention in the layers of `full_attn_layers` (counted from 1), delta rule in the others."""
    for key in ("mla_use_output_gate", "routed_expert_hidden_size", "attn_res_block_size"):
        if config.values.get(key):
            raise config.refuse(key, "it is not expressed")
    inner = config.values.get("linear_attn_config")
    own = inner if isinstance(inner, dict) else {}
    linear = Config(config.file, {**config.values, **own})
    full = linear.listed("full_attn_layers")
    pattern = lettered(config, "layer_types", "G")
    if not pattern and not full:
        raise config.refuse("linear_attn_config", "it has to say which layers are linear")
    dim = linear.integer("linear_head_dim") or own.get("head_dim") or 128
    return {
        "pattern": pattern or "".join("*" if layer + 1 in full else "G" for layer in range(config.need("layers"))),
        "delta_rule": {
            **dict.fromkeys(("key_heads", "value_heads"), linear.integer("linear_num_heads", "num_heads") or 32),
            **dict.fromkeys(("key_dim", "value_dim"), dim),
            "conv": linear.integer("linear_conv_kernel_dim", "short_conv_kernel_size") or 4,
            "channelwise": True,
        },
    }


def latent(config: Config) -> Fields:
    """Latent attention, with the indexer of DeepSeek-V3.2 and GLM-5 where a file has one."""
    found = config.shape("latent")
    if config.integer("index_topk") is None:
        return found
    kinds = config.listed("indexer_types")
    if any(kind not in ("full", "shared") for kind in kinds) or kinds[:1] == ["shared"]:
        raise config.refuse("indexer_types", "only full and shared are expressed, and the first is full")
    pattern = "".join("S" if kind == "shared" else "I" for kind in kinds) or "I"
    return found | {"indexer": config.shape("indexer") | {"pattern": pattern}}
