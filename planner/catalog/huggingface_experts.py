"""What a config.json says of experts, family by family."""

from __future__ import annotations

from typing import Any

from planner.catalog.huggingface_config import KEYS, Config
from planner.schema.model import MixtureOfExperts


def _routed(config: Config, width: str = "moe_intermediate_size") -> dict[str, Any]:
    """How many experts, how many of a token, and their width, by its key."""
    return {"experts": config.need("experts"), "top_k": config.need("top_k"), "ffn": config.need(width)}


def uniform_moe(config: Config) -> MixtureOfExperts:
    """Every layer is MoE and `intermediate_size` is the width of one expert."""
    return MixtureOfExperts(**_routed(config, "ffn"))


def gpt_oss_moe(config: Config) -> MixtureOfExperts:
    return MixtureOfExperts(**_routed(config, "ffn"), router_bias=True)


def qwen_moe(config: Config) -> MixtureOfExperts:
    ffn, shared = config.need("moe_intermediate_size"), config.whole("shared_expert_intermediate_size")
    if shared % ffn:
        raise config.refuse("shared_expert_intermediate_size", f"not a multiple of the expert width {ffn}")
    dense = config.listed("mlp_only_layers")
    every = config.whole("decoder_sparse_step", 1)
    if dense != list(range(len(dense))) or (dense and every != 1):
        raise config.refuse("mlp_only_layers", "only leading layers can be dense")
    if every < 1 or config.need("layers") % every:
        raise config.refuse("decoder_sparse_step", "does not divide the number of layers")
    return MixtureOfExperts(
        **_routed(config), shared_experts=shared // ffn, shared_gate=shared > 0, dense_layers=len(dense), every=every
    )


def deepseek_moe(config: Config) -> MixtureOfExperts | None:
    if config.integer(*KEYS["experts"]) is None:
        return None
    groups, chosen = config.whole("n_group") or 1, config.whole("topk_group") or 1
    return MixtureOfExperts(
        **_routed(config),
        shared_experts=config.whole("n_shared_experts") or config.whole("num_shared_experts"),
        dense_layers=_leading_dense(config),
        groups=groups,
        top_groups=min(chosen, groups),
    )


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


def arctic_moe(config: Config) -> MixtureOfExperts:
    """Arctic: a dense part beside the experts, as wide as the model."""
    if config.whole("moe_layer_frequency", 1) != 1:
        raise config.refuse("moe_layer_frequency", "only 1 is read")
    return MixtureOfExperts(**_routed(config, "ffn"), shared_experts=1, shared_ffn=config.need("hidden"))


def granite_moe(config: Config) -> MixtureOfExperts:
    """Granite 3 with a shared part, which may be missing."""
    shared = config.whole("shared_intermediate_size")
    return MixtureOfExperts(**_routed(config, "ffn"), shared_experts=1 if shared else 0, shared_ffn=shared or None)


def llama4_moe(config: Config) -> MixtureOfExperts:
    """`intermediate_size` is the expert width here, and every MoE layer has one shared expert of that width."""
    layers, every = config.need("layers"), config.whole("interleave_moe_layer_step", 1)
    if every < 1 or layers % every:
        raise config.refuse("interleave_moe_layer_step", "does not divide the number of layers")
    listed = config.listed("moe_layers")
    if listed and listed != list(range(every - 1, layers, every)[: len(listed) + 1]):
        raise config.refuse("moe_layers", "differs from interleave_moe_layer_step")
    return MixtureOfExperts(**_routed(config, "intermediate_size"), shared_experts=1, every=every)


def nemotron_moe(config: Config) -> MixtureOfExperts:
    return MixtureOfExperts(
        **_routed(config),
        shared_experts=config.whole("n_shared_experts", 1),
        shared_ffn=config.need("moe_shared_expert_intermediate_size"),
        latent=config.integer("moe_latent_size"),
    )


def ernie_moe(config: Config) -> MixtureOfExperts:
    """ERNIE 4.5: keys of its own; the first layers are dense."""
    if config.whole("moe_layer_interval", 1) != 1:
        raise config.refuse("moe_layer_interval", "only 1 is read")
    return MixtureOfExperts(
        experts=config.need("moe_num_experts"),
        top_k=config.need("moe_k"),
        ffn=config.need("moe_intermediate_size"),
        shared_experts=config.whole("moe_num_shared_experts", 2),
        dense_layers=config.whole("moe_layer_start_index", 1),
    )


def hunyuan_moe(config: Config) -> MixtureOfExperts:
    """Hunyuan: numbers that may be lists of one per layer, all equal."""
    return MixtureOfExperts(
        experts=_uniform(config, *KEYS["experts"]),
        top_k=_uniform(config, "moe_topk"),
        ffn=_uniform(config, "moe_intermediate_size", "intermediate_size"),
        shared_experts=_uniform(config, "num_shared_expert"),
    )


def _uniform(config: Config, *keys: str) -> int:
    key = next((key for key in keys if config.values.get(key) is not None), keys[0])
    value = config.values.get(key)
    if isinstance(value, list) and len({str(one) for one in value}) > 1:
        raise config.refuse(key, "layers that differ are not expressed")
    return Config(config.file, {key: value[0] if isinstance(value, list) and value else value}).need(key)
