"""What a config.json says of layers whose shapes differ: windows with heads of their own, widths, mixers beside others.

Keys and defaults are those of transformers, src/transformers/models/<model_type>/configuration_<model_type>.py, or of
the file beside the weights where a model has its own code.
"""

from __future__ import annotations

import math
from typing import Any

from planner.catalog.huggingface_config import Config, UnsupportedArchitecture
from planner.catalog.huggingface_mixers import Fields, lettered, mamba
from planner.schema.model import MixtureOfExperts, SelectiveScan, StateSpace, Windowed


def falcon_h1(config: Config) -> Fields:
    """Falcon-H1: attention and Mamba-2 side by side in every layer, a dense part behind them."""
    heads = config.need("mamba_n_heads")
    inner = config.integer("mamba_d_ssm") or config.need("mamba_expand") * config.need("hidden")
    return {"pattern": "H", "state_space": mamba(config, heads, inner)}


def jamba(config: Config) -> Fields:
    """Jamba: Mamba-1 in all layers but one in `attn_layer_period`."""
    every, first = config.integer("attn_layer_period") or 8, config.whole("attn_layer_offset", 4)
    hidden, rank = config.need("hidden"), config.values.get("mamba_dt_rank", "auto")
    return {
        "pattern": "".join("*" if (i - first) % every == 0 else "S" for i in range(config.need("layers"))),
        "selective_scan": SelectiveScan(
            inner=(config.integer("mamba_expand") or 2) * hidden,
            state=config.integer("mamba_d_state") or 16,
            rank=math.ceil(hidden / 16) if rank == "auto" else config.need("mamba_dt_rank"),
            conv=config.integer("mamba_d_conv") or 4,
            bias=config.flag("mamba_conv_bias", True),
            projection_bias=config.flag("mamba_proj_bias"),
        ),
    }


def jamba_moe(config: Config) -> MixtureOfExperts | None:
    """Experts in one layer of `expert_layer_period`; one expert is a dense part."""
    experts, every = config.integer("num_experts") or 16, config.integer("expert_layer_period") or 2
    first = config.whole("expert_layer_offset", 1)
    if experts == 1:
        return None
    return MixtureOfExperts(
        experts=experts,
        top_k=config.integer("num_experts_per_tok") or 2,
        ffn=config.need("ffn"),
        dense_layers=first,
        every=every,
    )


def _alone(heads: int, dim: int) -> Fields:
    """Layers of a scan and nothing behind it; heads are what tensor parallelism divides, not those of attention."""
    return {"ffn": heads * dim, "ffns": (0,), "heads": heads, "kv_heads": heads, "head_dim": dim}


def mamba1(config: Config) -> Fields:
    """Mamba and Falcon Mamba: nothing but scans."""
    hidden, rank = config.need("hidden"), config.values.get("time_step_rank", "auto")
    inner = config.integer("intermediate_size") or (config.integer("expand") or 2) * hidden
    scan = SelectiveScan(
        inner=inner,
        state=config.integer("state_size") or 16,
        rank=math.ceil(hidden / 16) if rank == "auto" else config.need("time_step_rank"),
        conv=config.integer("conv_kernel") or 4,
        bias=config.flag("use_conv_bias", True),
        projection_bias=config.flag("use_bias"),
    )
    dim = math.gcd(inner, 64)
    return {"pattern": "S", "selective_scan": scan, **_alone(inner // dim, dim)}


def mamba2(config: Config) -> Fields:
    """Mamba-2 and Codestral Mamba: nothing but scans."""
    heads, dim = config.integer("num_heads") or 128, config.integer("head_dim") or 64
    space = StateSpace(
        heads=heads,
        head_dim=dim,
        state=config.integer("state_size") or 128,
        groups=config.integer("n_groups") or 8,
        conv=config.integer("conv_kernel") or 4,
        chunk=config.integer("chunk_size") or 256,
        bias=config.flag("use_conv_bias", True),
        projection_bias=config.flag("use_bias"),
    )
    return {"pattern": "M", "state_space": space, **_alone(heads, dim)}


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
    windowed = Windowed(
        heads=config.integer("swa_num_attention_heads") or config.need("heads"),
        kv_heads=config.integer("swa_num_key_value_heads") or 2 * config.need("kv_heads"),
        head_dim=config.integer("swa_head_dim") or config.need("head_dim"),
        value_dim=config.integer("swa_v_head_dim") or value,
        sinks=config.flag("add_swa_attention_sink_bias", True),
    )
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
    heads = own.integer("num_attention_heads") or config.integer("num_sliding_attention_heads") or config.need("heads")
    return {
        "pattern": lettered(config, "layer_types", "G")[: config.need("layers")] or "*",
        "window": config.need("sliding_window"),
        "windowed": Windowed(
            heads=heads,
            kv_heads=own.integer("num_attention_groups") or config.need("kv_heads"),
            head_dim=own.integer("head_dim") or config.need("head_dim"),
        ),
    }


def step3p5_moe(config: Config) -> MixtureOfExperts:
    """Experts of `moe_layers_enum`, a text of numbers, or behind the first three; one shared part."""
    text = config.values.get("moe_layers_enum")
    layers = [int(one) for one in text.split(",")] if isinstance(text, str) and text.strip() else []
    first = min(layers, default=config.integer("first_k_dense_replace") or 3)
    if layers and layers != list(range(first, first + len(layers))):
        raise config.refuse("moe_layers_enum", "only leading layers can be dense")
    return MixtureOfExperts(
        experts=config.need("experts"),
        top_k=config.need("top_k"),
        ffn=config.need("moe_intermediate_size"),
        shared_experts=1,
        shared_ffn=config.integer("share_expert_dim", "share_expert_dims"),
        dense_layers=first,
    )


def gemma4(config: Config) -> Fields:
    """Gemma 4: full layers have fewer and wider heads of keys, which serve as values."""
    for key in ("hidden_size_per_layer_input", "num_kv_shared_layers"):
        if config.whole(key):
            raise config.refuse(key, "layers that share keys and values or embed each token again are not expressed")
    dim, kv = config.need("head_dim"), config.need("kv_heads")
    return {
        "pattern": lettered(config, "layer_types", "G") or "WWWWW*",
        "window": config.need("sliding_window"),
        "windowed": Windowed(heads=config.need("heads"), kv_heads=kv, head_dim=dim),
        "head_dim": config.integer("global_head_dim") or dim,
        "kv_heads": config.integer("num_global_key_value_heads") or kv,
        "keys_are_values": config.flag("attention_k_eq_v"),
    }


def gemma4_moe(config: Config) -> MixtureOfExperts | None:
    """Where `enable_moe_block` says so, in every layer."""
    if not config.flag("enable_moe_block"):
        return None
    return MixtureOfExperts(
        experts=config.need("experts"),
        top_k=config.need("top_k_experts"),
        ffn=config.need("moe_intermediate_size"),
        shared_experts=1,
        shared_ffn=config.need("ffn"),
    )


def longcat_moe(config: Config) -> MixtureOfExperts:
    """LongCat-Flash: experts beside the first of two dense parts; some of a token's experts do nothing.

    So many that do something are in the mean met: 12 * 512 / (512 + 256) = 8, of which the report counts 27 B active.
    """
    experts, idle = config.need("experts"), config.whole("zero_expert_num")
    return MixtureOfExperts(
        experts=experts,
        top_k=max(round(config.need("top_k") * experts / (experts + idle)), 1),
        ffn=config.need("expert_ffn_hidden_size"),
        shared_experts=1,
        shared_ffn=config.need("ffn"),
        every=2,
    )


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
