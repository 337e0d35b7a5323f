"""A model from a Hugging Face config.json, read as plain JSON.

One row per `model_type`; a type without a row is refused by name, because a model whose structure `Model` cannot
express would be priced wrongly without anybody noticing. Class defaults stand for keys that a file leaves out; they are
those of transformers, src/transformers/models/<model_type>/configuration_<model_type>.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from planner.catalog.library import quote
from planner.catalog.yamlfile import dotted, problem_text, read_text
from planner.errors import PlannerError, ProfileError
from planner.schema.model import LatentAttention, MixtureOfExperts, Model

Bias = Literal["none", "qkv", "all"]

KEYS: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "n_embed", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "ffn": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions", "seq_length", "n_ctx"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "top_k": ("num_experts_per_tok", "moe_topk"),
}
"""Names under which config files carry each field, most common first."""


class UnsupportedArchitecture(PlannerError):
    """A config.json whose structure the planner's `Model` cannot express."""


@dataclass(frozen=True, slots=True)
class _Config:
    """The values of one file, class defaults filled in; every complaint names file and key."""

    file: str
    values: Mapping[str, Any]

    def integer(self, *keys: str) -> int | None:
        """The first of these keys that is there and not null, as a positive whole number."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if type(value) is not int or not 0 < value <= 10**9:
                raise ProfileError(f"{self.file}: {key}: {value!r:.60} is not a positive whole number")
            return value
        return None

    def need(self, name: str) -> int:
        keys = KEYS.get(name, (name,))
        value = self.integer(*keys)
        if value is None:
            also = f"also read: {', '.join(keys[1:])}" if keys[1:] else ()
            raise ProfileError(f"{self.file}: {keys[0]}: missing", also)
        return value

    def whole(self, key: str, default: int = 0) -> int:
        """A number of layers or experts; null and absent mean the default, 0 is legal."""
        value = self.values.get(key)
        return default if value is None else 0 if value == 0 else self.integer(key) or 0

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise ProfileError(f"{self.file}: {key}: {value!r:.60} is neither true nor false")
        return default if value is None else value

    def listed(self, key: str) -> list[Any]:
        value = self.values.get(key)
        if value is not None and not isinstance(value, list):
            raise ProfileError(f"{self.file}: {key}: {value!r:.60} is not a list")
        return value or []

    def refuse(self, key: str, why: str) -> UnsupportedArchitecture:
        value = json.dumps(self.values.get(key))
        return UnsupportedArchitecture(
            f"{self.file}: {key}: {value[:60]}: {why}", "write it as a YAML profile if it fits"
        )


Moe = Callable[[_Config], "MixtureOfExperts | None"]
Pattern = Callable[[_Config, int], "list[bool]"]


def _uniform_moe(config: _Config) -> MixtureOfExperts:
    """Every layer is MoE and `intermediate_size` is the width of one expert."""
    return MixtureOfExperts(experts=config.need("experts"), top_k=config.need("top_k"), ffn=config.need("ffn"))


def _qwen_moe(config: _Config) -> MixtureOfExperts:
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
        experts=config.need("experts"),
        top_k=config.need("top_k"),
        ffn=ffn,
        shared_experts=shared // ffn,
        dense_layers=len(dense),
        every=every,
    )


def _deepseek_moe(config: _Config) -> MixtureOfExperts | None:
    if config.integer(*KEYS["experts"]) is None:
        return None
    if config.whole("moe_layer_freq", 1) != 1:
        raise config.refuse("moe_layer_freq", "only 1 is read")
    return MixtureOfExperts(
        experts=config.need("experts"),
        top_k=config.need("top_k"),
        ffn=config.need("moe_intermediate_size"),
        shared_experts=config.whole("n_shared_experts"),
        dense_layers=config.whole("first_k_dense_replace"),
    )


def _llama4_moe(config: _Config) -> MixtureOfExperts:
    """`intermediate_size` is the expert width here, and every MoE layer has one shared expert of that width."""
    layers, every = config.need("layers"), config.whole("interleave_moe_layer_step", 1)
    if every < 1 or layers % every:
        raise config.refuse("interleave_moe_layer_step", "does not divide the number of layers")
    listed = config.listed("moe_layers")
    if listed and listed != list(range(every - 1, layers, every)[: len(listed) + 1]):
        raise config.refuse("moe_layers", "differs from interleave_moe_layer_step")
    return MixtureOfExperts(
        experts=config.need("experts"),
        top_k=config.need("top_k"),
        ffn=config.need("intermediate_size"),
        shared_experts=1,
        every=every,
    )


def _latent(config: _Config) -> LatentAttention:
    return LatentAttention(
        kv_lora_rank=config.need("kv_lora_rank"),
        q_lora_rank=config.integer("q_lora_rank"),
        qk_nope_dim=config.need("qk_nope_head_dim"),
        qk_rope_dim=config.need("qk_rope_head_dim"),
        v_head_dim=config.need("v_head_dim"),
    )


def _no_full_layers(config: _Config, layers: int) -> list[bool]:
    return [False] * layers


def _full_every(key: str, default: int) -> Pattern:
    """One layer in `config[key]` attends to everything."""

    def pattern(config: _Config, layers: int) -> list[bool]:
        every = config.integer(key, f"_{key}") or default
        return [(i + 1) % every == 0 for i in range(layers)]

    return pattern


def _qwen_pattern(config: _Config, layers: int) -> list[bool]:
    """The window starts at layer `max_window_layers`, if it is used at all."""
    first = config.whole("max_window_layers", layers) if config.flag("use_sliding_window") else layers
    return [i < first for i in range(layers)]


def _qwen2_moe_pattern(config: _Config, layers: int) -> list[bool]:
    if config.flag("use_sliding_window"):
        raise config.refuse("use_sliding_window", "alternating windows up to max_window_layers are not expressed")
    return [True] * layers


def _optional_window(config: _Config, layers: int) -> list[bool]:
    return [not config.flag("use_sliding_window")] * layers


def _llama4_pattern(config: _Config, layers: int) -> list[bool]:
    """Layers without rotary position attend to everything, the others to their chunk."""
    chunked = config.listed("no_rope_layers")[:layers]
    return [not rope for rope in chunked] if chunked else _full_every("no_rope_layer_interval", 4)(config, layers)


@dataclass(frozen=True, slots=True)
class _Family:
    """What a `model_type` says about its models beyond the numbers in the file.

    Attributes:
        tied: class default of tie_word_embeddings.
        gated: three feed-forward matrices; otherwise two and the activation named in the file, or `activation`.
        bias: of every model; bias_key: a switch in the file, its default, and the bias that it switches on.
        window: which layers have full attention where the file gives a window; absent: there is none.
        moe, mla: how the file describes them.
        defaults: class defaults of keys that files leave out.
        check: refuses variants that `Model` cannot express.
    """

    tied: bool = False
    gated: bool = True
    activation: str = "gelu"
    bias: Bias = "none"
    bias_key: tuple[str, bool, Bias] | None = None
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    position: Literal["rope", "learned", "alibi"] = "rope"
    dropout: Mapping[str, float] = field(default_factory=lambda: {"attention_dropout": 0.0, "hidden_dropout": 0.0})
    window: Pattern | None = None
    moe: Moe | None = None
    mla: bool = False
    four_h: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[_Config], None] | None = None


def _check_opt(config: _Config) -> None:
    if config.integer("word_embed_proj_dim") not in (None, config.need("hidden")):
        raise config.refuse("word_embed_proj_dim", "embeddings narrower than the layers are not expressed")
    if not config.flag("do_layer_norm_before", True):
        raise config.refuse("do_layer_norm_before", "norms behind the layers are not expressed")


def _check_gpt2(config: _Config) -> None:
    if config.flag("add_cross_attention"):
        raise config.refuse("add_cross_attention", "cross attention is not expressed")


def _check_gpt_neox(config: _Config) -> None:
    if not config.flag("attention_bias", True):
        raise config.refuse("attention_bias", "bias in the feed-forward part alone is not expressed")


_LLAMA = _Family(bias_key=("attention_bias", False, "qkv"))
_DEEPSEEK = _Family(moe=_deepseek_moe, mla=True, bias_key=("attention_bias", False, "qkv"))
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

FAMILIES: dict[str, _Family] = {
    "bloom": _Family(
        tied=True,
        gated=False,
        bias="all",
        norm="layernorm",
        position="alibi",
        four_h=True,
        defaults={"seq_length": 2048},
    ),
    "cohere": _Family(tied=True, norm="layernorm", bias_key=("attention_bias", False, "qkv")),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "falcon": _Family(
        tied=True,
        gated=False,
        bias_key=("bias", False, "all"),
        norm="layernorm",
        four_h=True,
        defaults={"max_position_embeddings": 2048},
    ),
    "gemma": _Family(
        tied=True, bias_key=("attention_bias", False, "qkv"), defaults={"head_dim": 256, "num_key_value_heads": 16}
    ),
    "gemma2": _Family(
        tied=True,
        bias_key=("attention_bias", False, "qkv"),
        window=_full_every("sliding_window_pattern", 2),
        defaults={"head_dim": 256, "num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "gemma3_text": _Family(
        tied=True,
        bias_key=("attention_bias", False, "qkv"),
        window=_full_every("sliding_window_pattern", 6),
        defaults=_GEMMA3_TEXT,
    ),
    "glm4_moe": _Family(
        moe=_deepseek_moe, bias_key=("attention_bias", False, "qkv"), defaults={"num_key_value_heads": 8}
    ),
    "gpt2": _Family(
        tied=True,
        gated=False,
        bias="all",
        norm="layernorm",
        position="learned",
        four_h=True,
        dropout={"attn_pdrop": 0.1, "resid_pdrop": 0.1},
        check=_check_gpt2,
    ),
    "gpt_neox": _Family(gated=False, bias="all", norm="layernorm", check=_check_gpt_neox),
    "gpt_oss": _Family(
        bias="all",
        moe=_uniform_moe,
        window=_full_every("sliding_window_pattern", 2),
        defaults={"head_dim": 64, "num_key_value_heads": 8, "sliding_window": 128},
    ),
    "internlm2": _Family(bias_key=("bias", False, "qkv")),
    "kimi_k2": _DEEPSEEK,
    "llama": _LLAMA,
    "llama4_text": _Family(
        bias_key=("attention_bias", False, "qkv"),
        moe=_llama4_moe,
        window=_llama4_pattern,
        defaults={"head_dim": 128, "num_key_value_heads": 8, "attention_chunk_size": 8192},
    ),
    "minimax_m2": _Family(moe=_uniform_moe, defaults={"head_dim": 128, "num_key_value_heads": 8}),
    "mistral": _Family(window=_no_full_layers, defaults={"num_key_value_heads": 8}),
    "mixtral": _Family(window=_no_full_layers, moe=_uniform_moe, defaults={"num_key_value_heads": 8}),
    "nemotron": _Family(gated=False, activation="relu2", norm="layernorm", bias_key=("attention_bias", False, "qkv")),
    "olmo": _Family(norm="layernorm", bias_key=("attention_bias", False, "qkv")),
    "olmo2": _Family(bias_key=("attention_bias", False, "qkv")),
    "olmoe": _Family(moe=_uniform_moe, bias_key=("attention_bias", False, "qkv")),
    "opt": _Family(
        tied=True,
        gated=False,
        activation="relu",
        bias_key=("enable_bias", True, "all"),
        norm="layernorm",
        position="learned",
        dropout={"dropout": 0.1},
        check=_check_opt,
    ),
    "phi": _Family(gated=False, bias="all", norm="layernorm", dropout={"attention_dropout": 0.0}),
    "phi3": _Family(window=_no_full_layers),
    "qwen2": _Family(bias="qkv", window=_qwen_pattern, defaults={"num_key_value_heads": 32, "sliding_window": 4096}),
    "qwen2_moe": _Family(
        bias_key=("qkv_bias", True, "qkv"),
        moe=_qwen_moe,
        window=_qwen2_moe_pattern,
        defaults={"num_key_value_heads": 16, "sliding_window": 4096},
    ),
    "qwen3": _Family(
        bias_key=("attention_bias", False, "qkv"),
        window=_qwen_pattern,
        defaults={"head_dim": 128, "num_key_value_heads": 32, "sliding_window": 4096},
    ),
    "qwen3_moe": _Family(
        bias_key=("attention_bias", False, "qkv"),
        moe=_qwen_moe,
        window=_optional_window,
        defaults={"num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "stablelm": _Family(
        norm="layernorm", bias_key=("use_qkv_bias", False, "qkv"), defaults={"num_key_value_heads": 32}
    ),
    "starcoder2": _Family(
        tied=True,
        gated=False,
        bias_key=("use_bias", True, "all"),
        norm="layernorm",
        window=_no_full_layers,
        defaults={"num_key_value_heads": 2},
    ),
}
"""Every `model_type` that is read."""

NESTED = {"gemma3": "gemma3_text", "llama4": "llama4_text"}
"""Types whose decoder is described by `text_config`; their vision tower is left out."""

_RECURRENT = "some of its layers are recurrent, not attention"
_INDEXED = "its sparse attention has an indexer"
_REFUSED = {
    "bamba": _RECURRENT,
    "deepseek_v32": _INDEXED,
    "falcon_h1": _RECURRENT,
    "glm_moe_dsa": _INDEXED,
    "granitemoehybrid": _RECURRENT,
    "jamba": _RECURRENT,
    "kimi_linear": _RECURRENT,
    "mamba": _RECURRENT,
    "mamba2": _RECURRENT,
    "minimax": _RECURRENT,
    "nemotron_h": _RECURRENT,
    "qwen3_next": _RECURRENT,
    "recurrent_gemma": _RECURRENT,
    "t5": "it is an encoder-decoder",
    "bart": "it is an encoder-decoder",
    "whisper": "it is an encoder-decoder",
    "bert": "it is an encoder",
}


def read_config(path: Path) -> Model:
    """The model that a config.json describes; `path` is that file or the folder that holds it.

    Raises:
        ProfileError: the file cannot be read, is no JSON object, or lacks a field.
        UnsupportedArchitecture: its `model_type` or a variant of it is not one that `Model` expresses.
    """
    file = path / "config.json" if _is_folder(path) else path
    top = _load(file)
    kind, values = _decoder(top, str(file))
    config = _Config(str(file), {**FAMILIES[kind].defaults, **values})
    try:
        return Model.model_validate(_name(top, file) | _fields(kind, config))
    except ValidationError as error:
        first = error.errors()[0]
        where = dotted(first["loc"])
        raise ProfileError(f"{file}: {where + ': ' if where else ''}{problem_text(first)}") from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _load(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise ProfileError(f"{file}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise ProfileError(f"{file}: not JSON that can be read (numbers too long or nested too deep)") from None
    if not isinstance(value, dict):
        raise ProfileError(f"{file}: not a JSON object", "a config.json as transformers writes it")
    return value


def _decoder(top: dict[str, Any], file: str) -> tuple[str, dict[str, Any]]:
    """The `model_type` of the decoder and its values."""
    kind = top.get("model_type")
    if not isinstance(kind, str):
        raise ProfileError(f"{file}: model_type: missing", "a config.json as transformers writes it")
    if kind in NESTED:
        inner = top.get("text_config")
        if not isinstance(inner, dict):
            raise ProfileError(f"{file}: text_config: missing")
        tied = {key: top[key] for key in ("tie_word_embeddings",) if key in top}
        return NESTED[kind], tied | inner
    if kind not in FAMILIES:
        raise _unsupported(kind, file)
    return kind, top


def _unsupported(kind: str, file: str) -> UnsupportedArchitecture:
    why = _REFUSED.get(kind, "its structure is not one that the planner knows")
    return UnsupportedArchitecture(
        f"{file}: model_type {quote(kind)} is not supported: {why}",
        (f"supported: {', '.join(sorted([*FAMILIES, *NESTED]))}", "your own: a path to a YAML file"),
    )


def _name(top: dict[str, Any], file: Path) -> dict[str, str]:
    given = top.get("_name_or_path")
    segments = [given.rstrip("/\\") if isinstance(given, str) else "", str(file.absolute().parent)]
    last = (re.split(r"[/\\]", segment)[-1] for segment in segments)
    legal = (re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).lstrip("_.+-")[:80] for name in last)
    return {"name": next(filter(None, legal), "model"), "source": f"config.json at {file}"[:2000]}


def _fields(kind: str, config: _Config) -> dict[str, Any]:
    family = FAMILIES[kind]
    if family.check:
        family.check(config)
    bias, note = _bias(family, config)
    window, every = _window(family, config)
    return _shape(family, config) | {
        "family": kind,
        "tied_embeddings": config.flag("tie_word_embeddings", family.tied),
        "mlp": _mlp(family, config),
        "bias": bias,
        "norm": family.norm,
        "position": "alibi" if kind == "falcon" and config.flag("alibi") else family.position,
        "dropout": _dropout(family, config),
        "window": window,
        "window_every": every,
        "notes": note,
    }


def _shape(family: _Family, config: _Config) -> dict[str, Any]:
    heads, mla = config.need("heads"), _latent(config) if family.mla else None
    return {
        "layers": config.need("layers"),
        "hidden": config.need("hidden"),
        "ffn": _ffn(family, config),
        "heads": heads,
        "kv_heads": _kv_heads(config, heads),
        "head_dim": mla.qk_nope_dim + mla.qk_rope_dim if mla else _head_dim(config, heads),
        "vocab": config.need("vocab"),
        "context": config.need("context"),
        "moe": family.moe(config) if family.moe else None,
        "mla": mla,
    }


def _ffn(family: _Family, config: _Config) -> int:
    """The dense width; a missing or null one is 4*hidden where the class says so."""
    if family.moe is _llama4_moe:
        return config.need("intermediate_size_mlp")
    if family.four_h:
        return config.integer(*KEYS["ffn"]) or 4 * config.need("hidden")
    return config.need("ffn")


def _kv_heads(config: _Config, heads: int) -> int:
    """Falcon's older models share one key/value head when `multi_query` (default) is set and ignore num_kv_heads."""
    if config.values.get("model_type") == "falcon" and not config.flag("new_decoder_architecture"):
        return 1 if config.flag("multi_query", True) else heads
    return config.integer(*KEYS["kv_heads"]) or heads


def _head_dim(config: _Config, heads: int) -> int:
    explicit, hidden = config.integer("head_dim"), config.need("hidden")
    if explicit is None and hidden % heads:
        raise ProfileError(f"{config.file}: head_dim: missing, and {heads} heads do not divide hidden size {hidden}")
    return explicit or hidden // heads


def _mlp(family: _Family, config: _Config) -> str:
    keys = ("hidden_act", "activation_function", "hidden_activation", "activation")
    named = next((str(config.values[key]) for key in keys if config.values.get(key)), family.activation)
    if family.gated:
        return "glu"
    known = "gelu" if named.startswith("gelu") else named
    if known not in ("gelu", "relu", "relu2"):
        raise UnsupportedArchitecture(f"{config.file}: the activation {quote(named)} is none of gelu, relu, relu2")
    return known


def _bias(family: _Family, config: _Config) -> tuple[Bias, str]:
    key, default, kind = family.bias_key or ("", False, family.bias)
    bias = kind if not key or config.flag(key, default) else "none"
    if family.bias_key is None or not config.flag("mlp_bias"):
        partial = bias == "qkv" and key == "attention_bias" and family.moe is not _deepseek_moe
        return bias, "The bias of the attention's output projection is left out." if partial else ""
    if bias == "none":
        raise config.refuse("mlp_bias", "bias in the feed-forward part alone is not expressed")
    return "all", ""


def _dropout(family: _Family, config: _Config) -> bool:
    rates = [config.values.get(key, default) for key, default in family.dropout.items()]
    return any(isinstance(rate, (int, float)) and rate > 0 for rate in rates)


def _window(family: _Family, config: _Config) -> tuple[int | None, int]:
    """Size of the sliding window, and which layers do without: one in n, or none (0)."""
    size = config.whole("sliding_window") or config.whole("attention_chunk_size")
    if family.window is None or not size:
        return None, 0
    full = _full_layers(family.window, config)
    if all(full):
        return None, 0
    every = full.index(True) + 1 if any(full) else 0
    if every and full != [(i + 1) % every == 0 for i in range(len(full))]:
        raise UnsupportedArchitecture(
            f"{config.file}: layers of full attention are not evenly spaced, which the planner does not express",
            "write it as a YAML profile without a window to price full attention",
        )
    return size, every


def _full_layers(pattern: Pattern, config: _Config) -> list[bool]:
    layers = config.need("layers")
    kinds = config.listed("layer_types")
    local = ("sliding_attention", "chunked_attention")
    if any(kind not in (*local, "full_attention") for kind in kinds):
        raise config.refuse("layer_types", "only sliding, chunked and full attention are expressed")
    return [kind == "full_attention" for kind in kinds][:layers] if kinds else pattern(config, min(layers, 10_000))
