"""A model from a Hugging Face config.json, read as plain JSON.

A `model_type` without a row in `huggingface_families` is refused by name, because a model whose structure `Model`
cannot express would be priced wrongly without anybody noticing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from planner.catalog import huggingface_known as known
from planner.catalog.huggingface_config import KEYS, Config, UnsupportedArchitecture
from planner.catalog.huggingface_experts import deepseek
from planner.catalog.huggingface_families import FAMILIES, Bias, Family, Pattern
from planner.catalog.huggingface_mixers import latent
from planner.catalog.huggingface_quantization import checkpoint
from planner.catalog.huggingface_towers import read_tower
from planner.catalog.library import on_disk, quote
from planner.catalog.yamlfile import dotted, read_text
from planner.errors import ProfileError
from planner.schema.model import Model
from planner.wording import NotRead, load_json, schema_problem


def read_config(path: Path) -> Model:
    """The model that a config.json describes; `path` is that file or the folder that holds it.

    Raises:
        ProfileError: the file cannot be read, is no JSON object, or lacks a field.
        UnsupportedArchitecture: its `model_type` or a variant of it is not one that `Model` expresses.
    """
    file = path / "config.json" if on_disk(Path.is_dir, path) else path
    top = _load(file)
    kind, values = _decoder(top, str(file))
    config = Config(str(file), {**FAMILIES[kind].defaults, **_counted(values), **values, **_inside(kind, values)})
    try:
        fields = _fields(kind, config) | _stored(top, config)
        return Model.model_validate(_name(top, file) | fields | _before(top, config, str(fields["notes"])))
    except ValidationError as error:
        first = error.errors()[0]
        where = dotted(first["loc"])
        raise ProfileError(f"{file}: {where + ': ' if where else ''}{schema_problem(first)}") from None


def _load(file: Path) -> dict[str, Any]:
    try:
        value = load_json(read_text(file))
    except NotRead as error:
        raise ProfileError(
            f"{file}:{error.line}: not JSON: {error.reason}", "a config.json as transformers writes it"
        ) from None
    if not isinstance(value, dict):
        raise ProfileError(f"{file}: not a JSON object", "a config.json as transformers writes it")
    return value


def _decoder(top: dict[str, Any], file: str) -> tuple[str, dict[str, Any]]:
    """The `model_type` of the decoder and its values."""
    kind = top.get("model_type")
    if not isinstance(kind, str):
        raise ProfileError(f"{file}: model_type: missing", "a config.json as transformers writes it")
    if kind in known.NESTED:
        return _wrapped(kind, top, file)
    if kind not in FAMILIES:
        raise _unsupported(kind, file, top)
    if top.get("use_bidirectional_attention") in (True, "all"):
        raise Config(file, top).refuse("use_bidirectional_attention", known.BIDIRECTIONAL)
    return kind, top


def _wrapped(kind: str, top: dict[str, Any], file: str) -> tuple[str, dict[str, Any]]:
    """The decoder inside: a mapping of its own, or keys beside those of what stands before it."""
    thinker = top.get("thinker_config")
    holder = thinker if isinstance(thinker, dict) else top
    inner = next((holder[key] for key in known.INSIDE if holder.get(key) is not None), None)
    if inner is None and "hidden_size" in top:
        return known.NESTED[kind], top
    if not isinstance(inner, dict):
        raise ProfileError(f"{file}: text_config: missing")
    tied = {key: top[key] for key in ("tie_word_embeddings",) if key in top}
    return _kind(kind, inner, file), tied | known.CLASS_DEFAULTS.get(kind, {}) | inner


def _kind(wrapper: str, inner: dict[str, Any], file: str) -> str:
    """The decoder's type: its own where it says one, else that of the wrapper's class."""
    own = inner.get("model_type")
    plain = known.DECODERS.get(own, own) if isinstance(own, str) else known.NESTED[wrapper]
    if plain == "deepseek_v2" and inner.get("use_mla") is False:
        return "deepseek"
    if plain in known.REFUSED:
        raise _unsupported(plain, file, inner)
    return plain if plain in FAMILIES else known.NESTED[wrapper]


def _counted(values: dict[str, Any]) -> dict[str, int]:
    """The number of layers where only a list of their kinds is given."""
    kinds = values.get("layers_block_type")
    return {"num_hidden_layers": len(kinds)} if isinstance(kinds, list) else {}


def _inside(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values of keys that hold further ones of the decoder (MPT, DBRX)."""
    held = [values[key] for key in FAMILIES[kind].inside if isinstance(values.get(key), dict)]
    return {key: value for one in held for key, value in one.items()}


def _unsupported(kind: str, file: str, top: dict[str, Any]) -> UnsupportedArchitecture:
    return UnsupportedArchitecture(
        f"{file}: model_type {quote(kind)} is not supported: {known.why_refused(kind, top)}",
        (f"supported: {', '.join(sorted([*FAMILIES, *known.NESTED]))}", "your own: a path to a YAML file"),
    )


def _name(top: dict[str, Any], file: Path) -> dict[str, str]:
    given = top.get("_name_or_path")
    segments = [given.rstrip("/\\") if isinstance(given, str) else "", str(file.absolute().parent)]
    last = (re.split(r"[/\\]", segment)[-1] for segment in segments)
    legal = (re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).lstrip("_.+-")[:80] for name in last)
    return {"name": next(filter(None, legal), "model"), "source": f"config.json at {file}"[:2000]}


def _fields(kind: str, config: Config) -> dict[str, Any]:
    family = FAMILIES[kind]
    for key, (value, why) in family.only.items():
        if config.values.get(key) not in (None, config.need(value) if isinstance(value, str) else value):
            raise config.refuse(key, why)
    bias, note = _bias(family, config)
    own = config.fields(family.own) | ((family.layers and family.layers(config)) or {})
    return _shape(family, config, own.get("ffn")) | {
        "family": kind,
        "tied_embeddings": config.flag("tie_word_embeddings", family.tied),
        "mlp": _mlp(family, config),
        "bias": bias,
        "norm": family.norm,
        **_qk_norm(family, config),
        "position": "alibi" if kind == "falcon" and config.flag("alibi") else family.position,
        "dropout": _dropout(family, config),
        "norms": family.norms,
        "sinks": family.sinks,
        **_window(family, config),
        **own,
        "notes": " ".join(filter(None, (note, family.note))),
    }


def _stored(top: dict[str, Any], config: Config) -> dict[str, Any]:
    """The format of the weights, which stands beside or inside the decoder's values."""
    values = top if top.get("quantization_config") else config.values
    found, note = checkpoint(values, config.need("layers"), config.file[:1000])
    return {"checkpoint": found} | ({"notes": note} if note else {})


def _before(top: dict[str, Any], config: Config, notes: str) -> dict[str, Any]:
    """What stands before the decoder, and that it, or a part of it, is left out."""
    tower, note = read_tower(str(top["model_type"]), top, config.file[:1000], config.need("hidden"))
    return {"tower": tower, "text_only": bool(note), "notes": " ".join(filter(None, (notes, note)))}


def _shape(family: Family, config: Config, ffn: int | None) -> dict[str, Any]:
    heads, mla = config.need("heads"), latent(config) if family.mla else None
    return {
        "layers": config.need("layers"),
        "hidden": config.need("hidden"),
        "ffn": ffn or _ffn(family, config),
        "heads": heads,
        "kv_heads": _kv_heads(config, heads),
        "head_dim": mla["qk_nope_dim"] + mla["qk_rope_dim"] if mla else _head_dim(config, heads),
        "vocab": config.need("vocab"),
        "context": config.need("context"),
        "moe": family.moe(config) if family.moe else None,
        "mla": mla,
    }


def _ffn(family: Family, config: Config) -> int:
    """The dense width; a missing or null one is 4*hidden where the class says so."""
    if family.ffn:
        return config.need(family.ffn)
    if (family.layers or family.moe) and config.integer(*KEYS["ffn"]) is None and not family.four_h:
        return config.need("moe_intermediate_size")
    if family.four_h:
        return config.integer(*KEYS["ffn"]) or (config.integer("expansion_ratio") or 4) * config.need("hidden")
    return config.need("ffn")


def _kv_heads(config: Config, heads: int) -> int:
    """Falcon's older models share one key/value head when `multi_query` (default) is set and ignore num_kv_heads."""
    if config.values.get("model_type") == "falcon" and not config.flag("new_decoder_architecture"):
        return 1 if config.flag("multi_query", True) else heads
    if config.values.get("model_type") == "gpt_bigcode":
        return 1 if config.flag("multi_query", True) else heads
    return config.integer(*KEYS["kv_heads"]) or heads


def _head_dim(config: Config, heads: int) -> int:
    explicit, hidden = config.integer(*KEYS["head_dim"]), config.need("hidden")
    if explicit is None and hidden % heads:
        raise ProfileError(f"{config.file}: head_dim: missing, and {heads} heads do not divide hidden size {hidden}")
    return explicit or hidden // heads


def _mlp(family: Family, config: Config) -> str:
    keys = ("mlp_hidden_act", "hidden_act", "activation_function", "hidden_activation", "activation")
    named = next((str(config.values[key]) for key in keys if config.values.get(key)), family.activation)
    if family.gated:
        return "glu"
    known = "gelu" if named.startswith("gelu") or named == "xielu" else named
    if known not in ("gelu", "relu", "relu2"):
        raise UnsupportedArchitecture(f"{config.file}: the activation {quote(named)} is none of gelu, relu, relu2")
    return known


def _bias(family: Family, config: Config) -> tuple[Bias, str]:
    key, default, kind = family.bias_key or ("", False, family.bias)
    bias = kind if not key or config.flag(key, default) else "none"
    if family.bias_key is None or not config.flag("mlp_bias"):
        partial = bias == "qkv" and key == "attention_bias" and family.moe is not deepseek
        return bias, "The bias of the attention's output projection is left out." if partial else ""
    if bias == "none":
        raise config.refuse("mlp_bias", "bias in the feed-forward part alone is not expressed")
    return "all", ""


def _qk_norm(family: Family, config: Config) -> dict[str, bool]:
    there = family.qk_norm and (family.qk_key is None or config.flag(*family.qk_key))
    return {"qk_norm": family.qk_norm == "heads", "qk_norm_wide": family.qk_norm == "wide"} if there else {}


def _dropout(family: Family, config: Config) -> bool:
    rates = [config.values.get(key, default) for key, default in family.dropout.items()]
    return any(isinstance(rate, (int, float)) and rate > 0 for rate in rates)


def _window(family: Family, config: Config) -> dict[str, Any]:
    """Size of the sliding window and which layers do without: none, one in n, or those of a pattern."""
    size = next(filter(None, map(config.whole, ("sliding_window", "attention_chunk_size", "window_size"))), 0)
    if family.window is None or not size:
        return {}
    full = _full_layers(family.window, config)
    if all(full):
        return {}
    every = full.index(True) + 1 if any(full) else 0
    if every and full != [(i + 1) % every == 0 for i in range(len(full))]:
        return {"window": size, "pattern": "".join("*" if one else "W" for one in full)}
    return {"window": size, "window_every": every}


def _full_layers(pattern: Pattern, config: Config) -> list[bool]:
    layers = config.need("layers")
    kinds = config.listed("layer_types")
    local = ("sliding_attention", "chunked_attention")
    if any(kind not in (*local, "full_attention") for kind in kinds):
        raise config.refuse("layer_types", "only sliding, chunked and full attention are expressed")
    return [kind == "full_attention" for kind in kinds][:layers] if kinds else pattern(config, min(layers, 10_000))
