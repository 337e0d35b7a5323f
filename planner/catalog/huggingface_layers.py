"""What a config.json says of layers whose shapes differ: windows with heads of their own, widths, mixers beside others.

Keys and defaults are those of transformers, src/transformers/models/<model_type>/configuration_<model_type>.py, or of
the file beside the weights where a model has its own code.
"""

from __future__ import annotations

import math
from typing import Any

from planner.catalog.huggingface_config import Config, Fields, UnsupportedArchitecture
from planner.catalog.huggingface_mixers import lettered, mamba


def falcon_h1(config: Config) -> Fields:
    """Falcon-H1: attention and Mamba-2 side by side in every layer, a dense part behind them."""
    return {"pattern": "H", "state_space": mamba(config, config.integer("mamba_d_ssm") or 0)}


def _scan(config: Config, shape: str, inner: int, rank: str) -> Fields:
    """Mamba-1: the rank of the step's product, by its key, is a sixteenth of the width where it says "auto"."""
    auto = config.values.get(rank, "auto") == "auto"
    found = {"inner": inner, "rank": math.ceil(config.need("hidden") / 16) if auto else config.need(rank)}
    return config.shape(shape) | found


def jamba(config: Config) -> Fields:
    """Jamba: Mamba-1 in all layers but one in `attn_layer_period`."""
    every, first = config.integer("attn_layer_period") or 8, config.whole("attn_layer_offset", 4)
    inner = (config.integer("mamba_expand") or 2) * config.need("hidden")
    return {
        "pattern": "".join("*" if (i - first) % every == 0 else "S" for i in range(config.need("layers"))),
        "selective_scan": _scan(config, "jamba_scan", inner, "mamba_dt_rank"),
    }


def _alone(heads: int, dim: int) -> Fields:
    """Layers of a scan and nothing behind it; heads are what tensor parallelism divides, not those of attention."""
    return {"ffn": heads * dim, "ffns": (0,), "heads": heads, "kv_heads": heads, "head_dim": dim}


def mamba1(config: Config) -> Fields:
    """Mamba and Falcon Mamba: nothing but scans."""
    inner = config.integer("intermediate_size") or (config.integer("expand") or 2) * config.need("hidden")
    dim = math.gcd(inner, 64)
    return {
        "pattern": "S",
        "selective_scan": _scan(config, "mamba_scan", inner, "time_step_rank"),
        **_alone(inner // dim, dim),
    }


def mamba2(config: Config) -> Fields:
    """Mamba-2 and Codestral Mamba: nothing but scans."""
    space = config.shape("mamba2")
    return {"pattern": "M", "state_space": space, **_alone(space["heads"], space["head_dim"])}


def lfm2(config: Config) -> Fields:
    """LFM2: short gated convolutions, and attention in the layers of `layer_types` or `full_attn_idxs`."""
    kinds, full = config.listed("layer_types"), config.listed("full_attn_idxs")
    if any(kind not in ("conv", "full_attention") for kind in kinds):
        raise config.refuse("layer_types", "only conv and full_attention are expressed")
    pattern = "".join("*" if kind == "full_attention" else "C" for kind in kinds) or "".join(
        "*" if layer in full else "C" for layer in range(config.need("layers"))
    )
    return {"pattern": pattern, "ffn": _lfm2_width(config), "short_convolution": config.integer("conv_L_cache") or 3}


def _lfm2_width(config: Config) -> int:
    """Two thirds, in whole multiples, where `block_auto_adjust_ff_dim` says so."""
    width = config.integer("block_ff_dim", "intermediate_size") or config.need("ffn")
    if not config.flag("block_auto_adjust_ff_dim", config.values.get("model_type") == "lfm2"):
        return width
    factor = config.values.get("block_ffn_dim_multiplier", 1.0)
    multiple = config.integer("block_multiple_of") or 256
    return multiple * math.ceil(int((factor or 1.0) * (2 * width // 3)) / multiple)


def mimo_v2(config: Config) -> Fields:
    """MiMo-V2-Flash: windows with more keys and values than full layers, and sinks; values narrower than keys."""
    hybrid = config.listed("hybrid_layer_pattern")
    kinds = config.listed("layer_types") or ["sliding_attention" if one else "full_attention" for one in hybrid]
    layers = config.need("layers")
    pattern = "".join("W" if kind == "sliding_attention" else "*" for kind in kinds[:layers])
    value = config.integer("v_head_dim")
    windowed = config.shape("mimo_v2") | {"value_dim": config.integer("swa_v_head_dim") or value}
    windowed["kv_heads"] = config.integer("swa_num_key_value_heads") or 2 * config.need("kv_heads")
    every_sixth = "*WWWW*" + "WWWWW*" * (layers // 6)
    return {
        "pattern": pattern or every_sixth[:layers],
        "window": config.need("sliding_window"),
        "windowed": windowed,
        "value_dim": value,
        "sinks": config.flag("add_full_attention_sink_bias"),
    }


def step3p5(config: Config) -> Fields:
    """Step 3.5: windows with more heads than full layers."""
    other = config.values.get("attention_other_setting")
    own = Config(config.file, other if isinstance(other, dict) else {})
    return {
        "pattern": lettered(config, "layer_types", "G")[: config.need("layers")] or "*",
        "window": config.need("sliding_window"),
        "windowed": config.shape("step3p5_window") | {k: v for k, v in own.shape("step3p5_own").items() if v},
    }


def gemma4(config: Config) -> Fields:
    """Gemma 4: full layers have fewer and wider heads of keys, which serve as values."""
    for key in ("hidden_size_per_layer_input", "num_kv_shared_layers"):
        if config.whole(key):
            raise config.refuse(key, "layers that share keys and values or embed each token again are not expressed")
    return {
        "pattern": lettered(config, "layer_types", "G") or "WWWWW*",
        "window": config.need("sliding_window"),
        "windowed": config.shape("windowed"),
        "head_dim": config.integer("global_head_dim") or config.need("head_dim"),
        "kv_heads": config.integer("num_global_key_value_heads") or config.need("kv_heads"),
        "keys_are_values": config.flag("attention_k_eq_v"),
    }


def longcat(config: Config) -> Fields:
    """Each layer of the file has attention and a dense part twice: they are counted as two."""
    return {"layers": 2 * (config.integer("num_layers") or config.need("layers"))}


def nemotron_nas(config: Config) -> Fields:
    """Llama-Nemotron Super and Ultra: layers of different widths, some without attention or feed-forward part."""
    blocks = config.listed("block_configs")
    parts = [(_part(config, block, "attention"), _part(config, block, "ffn")) for block in blocks]
    groups = {one.need("n_heads_in_group") for one, _ in parts if not one.flag("no_op")}
    if len(groups) != 1:
        raise config.refuse("block_configs", "layers with different heads of keys and values are not expressed")
    widths = tuple(_nas_width(config, ffn) for _, ffn in parts)
    return {
        "pattern": "".join("_" if one.flag("no_op") else "*" for one, _ in parts),
        "kv_heads": config.need("heads") // groups.pop(),
        "ffn": max(widths),
        "ffns": widths,
    }


def _part(config: Config, block: Any, key: str) -> Config:
    found = block.get(key) if isinstance(block, dict) else None
    part = Config(f"{config.file}: block_configs", found if isinstance(found, dict) else {})
    if not found or part.flag("replace_with_linear") or part.values.get("window_length"):
        said = f"{config.file}: block_configs: {key}: only attention, gated parts or none are expressed"
        raise UnsupportedArchitecture(said)
    return part


def _nas_width(config: Config, ffn: Config) -> int:
    """`ffn_mult` of two thirds of the width, in whole multiples of 256 (DeciLM's modeling_decilm.py)."""
    factor = ffn.values.get("ffn_mult")
    if ffn.flag("no_op"):
        return 0
    if not isinstance(factor, (int, float)) or not 0 < factor < 1000:
        raise ffn.refuse("ffn_mult", "it is not a factor of the width")
    return 256 * math.ceil(int(2 * factor * config.need("hidden") / 3) / 256)
