"""How the weights beside a config.json are stored: its `quantization_config`, as tools write it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from planner.catalog.yamlfile import table
from planner.schema.formats import KvType, Module, WeightType
from planner.schema.model import Checkpoint

SAID = table("catalog", "huggingface_families.yaml")["stored"]
BY_METHOD: dict[str, WeightType] = SAID["methods"]
BY_ALGORITHM: dict[str, WeightType] = SAID["algorithms"]
INTEGERS: dict[int, WeightType] = {8: "int8", 4: "int4"}
CACHES: dict[str, KvType] = SAID["caches"]

NORMAL: tuple[Module, ...] = ("attention", "mlp", "experts", "shared")

MOST = 200_000
"""Entries of such a list that are read."""


def checkpoint(config: Mapping[str, Any], layers: int, source: str) -> tuple[Checkpoint | None, str]:
    """The checkpoint of a `quantization_config`, None where the weights are 16-bit; and a note on what is not read."""
    stated = config.get("quantization_config")
    if not isinstance(stated, dict) or not stated:
        return None, ""
    weights = stored(stated)
    if weights is None:
        method = stated.get("quant_method") or stated.get("quant_algo") or "unknown"
        return None, f"Its quantization ({method!s:.40}) is not read: weights are taken as 16-bit."
    listed = [name for key in SAID["excluded"] if isinstance(stated.get(key), list) for name in stated[key][:MOST]]
    classes, ends = excluded([name for name in listed if isinstance(name, str)], layers)
    fields: dict[str, Any] = dict.fromkeys(classes, "bf16") | {"weights": weights, "wide_layers": ends}
    return Checkpoint(**fields, kv=cache(stated), source=f"quantization_config of {source}"), ""


def stored(stated: Mapping[str, Any]) -> WeightType | None:
    """The format of what is quantised; None where no method, algorithm or number of bits says it."""
    method, algorithm = str(stated.get("quant_method", "")).lower(), str(stated.get("quant_algo", "")).upper()
    if method in BY_METHOD:
        return BY_METHOD[method]
    if algorithm in BY_ALGORITHM:
        return BY_ALGORITHM[algorithm]
    groups = stated.get("config_groups")
    if isinstance(groups, dict):
        found = [_group(group) for group in groups.values() if isinstance(group, dict)]
        return next((f for f in found if f is not None), None)
    if method == "bitsandbytes":
        return "int8" if stated.get("load_in_8bit") else "int4" if stated.get("load_in_4bit") else None
    bits = stated.get("bits") or stated.get("w_bit")
    return INTEGERS.get(bits) if type(bits) is int else None


def _group(group: Mapping[str, Any]) -> WeightType | None:
    """compressed-tensors: bits, type and group size of one group of layers, and whether its activations are int8."""
    weights, inputs = group.get("weights"), group.get("input_activations")
    if not isinstance(weights, dict):
        return None
    bits, size = weights.get("num_bits"), weights.get("group_size")
    if weights.get("type") != "float":
        if bits == 8 and isinstance(inputs, dict) and (inputs.get("num_bits"), inputs.get("type")) == (8, "int"):
            return "w8a8"
        return INTEGERS.get(bits) if type(bits) is int else None
    return "fp8" if bits == 8 else ("mxfp4" if size == 32 else "nvfp4") if bits == 4 else None


def cache(stated: Mapping[str, Any]) -> KvType | None:
    """The KV cache's format where the checkpoint asks for one."""
    scheme, algorithm = stated.get("kv_cache_scheme"), str(stated.get("kv_cache_quant_algo") or "").upper()
    if isinstance(scheme, dict):
        return "fp8" if scheme.get("num_bits") == 8 and scheme.get("type") == "float" else None
    return CACHES.get(algorithm or str(scheme or "").upper())


def excluded(names: list[str], layers: int) -> tuple[tuple[Module, ...], int]:
    """Classes of linear layers that stay in 16 bit in nearly all layers, and how many layers do as a whole."""
    everywhere: set[Module] = set()
    of_layer: dict[int, set[Module]] = defaultdict(set)
    for name in names:
        layer, classes = module(name)
        if layer is None:
            everywhere.update(classes)
        elif layer < layers:
            of_layer[layer].update(classes)
    counts = {c: sum(c in found for found in of_layer.values()) for c in NORMAL}
    common = everywhere | {c for c in NORMAL if counts[c] > 0.8 * layers}
    ends = sum("attention" in found | common and bool({"mlp", "experts"} & found) for found in of_layer.values())
    return tuple(sorted(common)), 0 if {"mlp", "experts"} & common else ends


_LAYER = re.compile(r"layers\.(\d{1,6})(?!\d)")


def module(name: str) -> tuple[int | None, tuple[Module, ...]]:
    """The layer that an entry names, or None for all, and the classes whose weights it covers.

    Entries are paths, globs ("*.attn.*") or expressions ("re:.*self_attn.*"); what tells classes apart is the words in
    them. Norms, gates, embeddings and towers are 16-bit anyway. Of an attention the output projection decides: parts of
    it, like the latent projections of DeepSeek's, do not make it 16-bit as a whole.
    """
    text = name[:300].removeprefix("re:").replace("\\", "").replace(".*", "*").replace("*.", ".").rstrip("*.").lower()
    found = _LAYER.search(text)
    layer = int(found[1]) if found else None
    rest = text[found.end() :].lstrip(".") if found else text
    return layer, _classes(rest, layer)


def _classes(rest: str, layer: int | None) -> tuple[Module, ...]:
    if any(word in rest for word in ("norm", "vision", "mtp", "embed", "lm_head", "indexer", "router", "e_score")):
        return ()
    if "shared_expert" in rest:
        return () if rest.endswith("shared_expert_gate") else ("shared",)
    if "experts" in rest:
        return ("experts",)
    if "attn" in rest or "attention" in rest:
        tail = re.split(r"(?:self_)?attn|attention", rest)[-1].strip(".*")
        return ("attention",) if tail in ("", "o_proj", "out_proj", "dense", "wo", "proj") else ()
    if any(word in rest for word in ("mlp", "feed_forward", "ffn", "block_sparse_moe")):
        return _feed_forward(rest)
    return NORMAL if layer is not None and not rest.strip("*.") else ()


def _feed_forward(rest: str) -> tuple[Module, ...]:
    """The down projection decides; a name that ends with the part itself covers experts too."""
    tail = re.split(r"mlp|feed_forward|ffn|block_sparse_moe", rest)[-1].strip(".*")
    if tail == "":
        return "mlp", "experts", "shared"
    return ("mlp",) if "down" in tail or tail in ("w2", "fc2", "dense_4h_to_h") else ()
