"""What a config.json says of experts, family by family, where it is more than keys.

Those that are keys alone are rows of `shapes` in huggingface_families.yaml.
"""

from __future__ import annotations

from planner.catalog.huggingface_config import KEYS, Config, Fields


def qwen(config: Config) -> Fields:
    ffn, shared = config.need("moe_intermediate_size"), config.whole("shared_expert_intermediate_size")
    if shared % ffn:
        raise config.refuse("shared_expert_intermediate_size", f"not a multiple of the expert width {ffn}")
    dense = config.listed("mlp_only_layers")
    every = config.whole("decoder_sparse_step", 1)
    if dense != list(range(len(dense))) or (dense and every != 1):
        raise config.refuse("mlp_only_layers", "only leading layers can be dense")
    if every < 1 or config.need("layers") % every:
        raise config.refuse("decoder_sparse_step", "does not divide the number of layers")
    beside = {"shared_experts": shared // ffn, "shared_gate": shared > 0}
    return config.shape("routed") | beside | {"dense_layers": len(dense), "every": every}


def deepseek(config: Config) -> Fields | None:
    if config.integer(*KEYS["experts"]) is None:
        return None
    groups, chosen = config.whole("n_group") or 1, config.whole("topk_group") or 1
    return config.shape("routed") | {
        "shared_experts": config.whole("n_shared_experts") or config.whole("num_shared_experts"),
        "dense_layers": _leading_dense(config),
        "groups": groups,
        "top_groups": min(chosen, groups),
    }


def _leading_dense(config: Config) -> int:
    """Layers before the first with experts, of a list of kinds or as a number."""
    frequency = config.values.get("moe_layer_freq", 1)
    listed = ["sparse" if one else "dense" for one in frequency] if isinstance(frequency, list) else []
    if not listed and frequency not in (1, None):
        raise config.refuse("moe_layer_freq", "only 1 is read")
    kinds = config.listed("mlp_layer_types") or listed
    if not kinds:
        return config.whole("first_k_dense_replace") or config.whole("num_dense_layers")
    dense = kinds.index("sparse") if "sparse" in kinds else len(kinds)
    if kinds != ["dense"] * dense + ["sparse"] * (len(kinds) - dense):
        raise config.refuse("mlp_layer_types", "only leading layers can be dense")
    return dense


def granite(config: Config) -> Fields:
    """Granite 3 with a shared part, which may be missing."""
    shared = config.whole("shared_intermediate_size")
    return config.shape("uniform") | {"shared_experts": int(shared > 0), "shared_ffn": shared or None}


def llama4(config: Config) -> Fields:
    """`intermediate_size` is the expert width here, and every MoE layer has one shared expert of that width."""
    layers, every = config.need("layers"), config.whole("interleave_moe_layer_step", 1)
    if every < 1 or layers % every:
        raise config.refuse("interleave_moe_layer_step", "does not divide the number of layers")
    listed = config.listed("moe_layers")
    if listed and listed != list(range(every - 1, layers, every)[: len(listed) + 1]):
        raise config.refuse("moe_layers", "differs from interleave_moe_layer_step")
    return config.shape("uniform") | {"shared_experts": 1, "every": every}


def hunyuan(config: Config) -> Fields:
    """Hunyuan: numbers that may be lists of one per layer, all equal."""
    keys = {"top_k": ["moe_topk"], "ffn": ["moe_intermediate_size", "intermediate_size"]}
    keys |= {"experts": KEYS["experts"], "shared_experts": ["num_shared_expert"]}
    return {name: _uniform(config, *several) for name, several in keys.items()}


def _uniform(config: Config, *keys: str) -> int:
    key = next((key for key in keys if config.values.get(key) is not None), keys[0])
    value = config.values.get(key)
    if isinstance(value, list) and len({str(one) for one in value}) > 1:
        raise config.refuse(key, "layers that differ are not expressed")
    return Config(config.file, {key: value[0] if isinstance(value, list) and value else value}).need(key)


def jamba(config: Config) -> Fields | None:
    """Experts in one layer of `expert_layer_period`; one expert is a dense part."""
    found = config.shape("jamba")
    return None if found["experts"] == 1 else found


def step3p5(config: Config) -> Fields:
    """Experts of `moe_layers_enum`, a text of numbers, or behind the first three; one shared part."""
    text = config.values.get("moe_layers_enum")
    layers = [int(one) for one in text.split(",")] if isinstance(text, str) and text.strip() else []
    first = min(layers, default=config.integer("first_k_dense_replace") or 3)
    if layers and layers != list(range(first, first + len(layers))):
        raise config.refuse("moe_layers_enum", "only leading layers can be dense")
    return config.shape("step3p5") | {"dense_layers": first}


def gemma4(config: Config) -> Fields | None:
    """Where `enable_moe_block` says so, in every layer."""
    return config.shape("gemma4") if config.flag("enable_moe_block") else None


def longcat(config: Config) -> Fields:
    """LongCat-Flash: experts beside the first of two dense parts; some of a token's experts do nothing.

    So many that do something are in the mean met: 12 * 512 / (512 + 256) = 8, of which the report counts 27 B active.
    """
    found, idle = config.shape("longcat"), config.whole("zero_expert_num")
    return found | {"top_k": max(round(found["top_k"] * found["experts"] / (found["experts"] + idle)), 1)}
