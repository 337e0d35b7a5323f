"""What tells one Hugging Face `model_type` from another: how its keys become a shape.

One row per type. Class defaults stand for keys that a file leaves out; they are those of transformers,
src/transformers/models/<model_type>/configuration_<model_type>.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from planner.catalog import huggingface_experts as experts
from planner.catalog import huggingface_mixers as mixers
from planner.catalog.huggingface_config import Config
from planner.frozen import frozen
from planner.schema.model import MixtureOfExperts

Bias = Literal["none", "qkv", "all"]
Moe = Callable[[Config], "MixtureOfExperts | None"]
Pattern = Callable[[Config, int], "list[bool]"]


def _no_full_layers(config: Config, layers: int) -> list[bool]:
    return [False] * layers


def _full_every(key: str, default: int) -> Pattern:
    """One layer in `config[key]` attends to everything."""

    def pattern(config: Config, layers: int) -> list[bool]:
        every = config.integer(key, f"_{key}") or default
        return [(i + 1) % every == 0 for i in range(layers)]

    return pattern


def _qwen_pattern(config: Config, layers: int) -> list[bool]:
    """The window starts at layer `max_window_layers`, if it is used at all."""
    first = config.whole("max_window_layers", layers) if config.flag("use_sliding_window") else layers
    return [i < first for i in range(layers)]


def _qwen2_moe_pattern(config: Config, layers: int) -> list[bool]:
    if config.flag("use_sliding_window"):
        raise config.refuse("use_sliding_window", "alternating windows up to max_window_layers are not expressed")
    return [True] * layers


def _first_layers(config: Config, layers: int) -> list[bool]:
    """Without a list of kinds, the window starts at `max_window_layers`."""
    return [i < config.whole("max_window_layers", layers) for i in range(layers)]


def _exaone_pattern(config: Config, layers: int) -> list[bool]:
    """Letters L (window) and G, repeated; or one full layer in so many."""
    written = config.values.get("sliding_window_pattern")
    if isinstance(written, str):
        return [written[i % len(written)] == "G" for i in range(layers)] if written else [True] * layers
    return _full_every("sliding_window_pattern", 4)(config, layers)


def _optional_window(config: Config, layers: int) -> list[bool]:
    return [not config.flag("use_sliding_window")] * layers


def _llama4_pattern(config: Config, layers: int) -> list[bool]:
    """Layers without rotary position attend to everything, the others to their chunk."""
    chunked = config.listed("no_rope_layers")[:layers]
    return [not rope for rope in chunked] if chunked else _full_every("no_rope_layer_interval", 4)(config, layers)


@frozen
class Family:
    """What a `model_type` says about its models beyond the numbers in the file.

    Attributes:
        tied: class default of tie_word_embeddings.
        gated: three feed-forward matrices; otherwise two and the activation named in the file, or `activation`.
        bias: of every model; bias_key: a switch in the file, its default, and the bias that it switches on.
        window: which layers have full attention where the file gives a window; absent: there is none.
        moe, mla: how the file describes them.
        qk_norm: norms of queries and keys, per head or over all heads; qk_key: their switch and its default.
        defaults: class defaults of keys that files leave out.
        norms: of a layer; sinks: every softmax has a learned logit per head.
        layers: fields of layers that are more than attention.
        check: refuses variants that `Model` cannot express.
    """

    tied: bool = False
    gated: bool = True
    activation: str = "gelu"
    bias: Bias = "none"
    bias_key: tuple[str, bool, Bias] | None = None
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    position: Literal["rope", "learned", "alibi", "none"] = "rope"
    dropout: Mapping[str, float] = field(default_factory=lambda: {"attention_dropout": 0.0, "hidden_dropout": 0.0})
    window: Pattern | None = None
    moe: Moe | None = None
    mla: bool = False
    norms: Literal[2, 4] = 2
    sinks: bool = False
    layers: Callable[[Config], dict[str, Any]] | None = None
    four_h: bool = False
    qk_norm: Literal["", "heads", "wide"] = ""
    qk_key: tuple[str, bool] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Config], None] | None = None


def _check_opt(config: Config) -> None:
    if config.integer("word_embed_proj_dim") not in (None, config.need("hidden")):
        raise config.refuse("word_embed_proj_dim", "embeddings narrower than the layers are not expressed")
    if not config.flag("do_layer_norm_before", True):
        raise config.refuse("do_layer_norm_before", "norms behind the layers are not expressed")


def _check_gpt2(config: Config) -> None:
    if config.flag("add_cross_attention"):
        raise config.refuse("add_cross_attention", "cross attention is not expressed")


def _check_gpt_neox(config: Config) -> None:
    if not config.flag("attention_bias", True):
        raise config.refuse("attention_bias", "bias in the feed-forward part alone is not expressed")


_BIAS: tuple[str, bool, Bias] = ("attention_bias", False, "qkv")
_LLAMA = Family(bias_key=_BIAS)
_DEEPSEEK = Family(moe=experts.deepseek_moe, mla=True, bias_key=_BIAS)
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
    "arcee": Family(gated=False, activation="relu2", bias_key=_BIAS),
    "bailing_moe": Family(moe=experts.deepseek_moe, bias_key=("use_qkv_bias", False, "qkv")),
    "bailing_moe_v2": Family(
        moe=experts.deepseek_moe, bias_key=("use_qkv_bias", False, "qkv"), qk_norm="heads", qk_key=("use_qk_norm", True)
    ),
    "cohere2": Family(tied=True, norm="layernorm", bias_key=_BIAS, window=_full_every("sliding_window_pattern", 4)),
    "deepseek_v32": _DEEPSEEK,
    "dots1": Family(moe=experts.deepseek_moe, bias_key=_BIAS, qk_norm="heads", window=_first_layers),
    "ernie4_5": Family(tied=True, bias_key=("use_bias", False, "all")),
    "ernie4_5_moe": Family(tied=True, bias_key=("use_bias", False, "all"), moe=experts.ernie_moe),
    "exaone4": Family(window=_exaone_pattern, qk_norm="heads"),
    "glm": Family(bias_key=("attention_bias", True, "qkv")),
    "glm4": Family(bias_key=_BIAS, norms=4),
    "glm4_moe_lite": _DEEPSEEK,
    "glm_moe_dsa": _DEEPSEEK,
    "granite": _LLAMA,
    "granitemoe": Family(moe=experts.uniform_moe, bias_key=_BIAS),
    "granitemoehybrid": Family(
        position="none",
        bias_key=_BIAS,
        layers=mixers.granite,
        defaults={"mamba_expand": 2, "mamba_n_heads": 128, "mamba_d_state": 256, "shared_intermediate_size": 1024},
    ),
    "hunyuan_v1_dense": Family(tied=True, bias_key=_BIAS, qk_norm="heads", qk_key=("use_qk_norm", True)),
    "hunyuan_v1_moe": Family(
        tied=True,
        bias_key=_BIAS,
        qk_norm="heads",
        qk_key=("use_qk_norm", True),
        moe=experts.hunyuan_moe,
        defaults={"num_shared_expert": 1},
    ),
    "internlm3": Family(bias_key=("qkv_bias", False, "qkv")),
    "kimi_linear": Family(mla=True, moe=experts.deepseek_moe, position="none", layers=mixers.kimi_linear),
    "mimo": Family(bias_key=("attention_bias", True, "qkv")),
    "minimax": Family(moe=experts.uniform_moe, layers=mixers.minimax),
    "minimax_m1": Family(moe=experts.uniform_moe, layers=mixers.minimax),
    "minimax_text_01": Family(moe=experts.uniform_moe, layers=mixers.minimax),
    "ministral3": _LLAMA,
    "nemotron_h": Family(gated=False, activation="relu2", bias_key=_BIAS, position="none", layers=mixers.nemotron_h),
    "olmo3": Family(
        bias_key=_BIAS,
        window=_full_every("sliding_window_pattern", 4),
        qk_norm="wide",
        defaults={"sliding_window": 4096},
    ),
    "qwen3_5_moe_text": Family(bias_key=_BIAS, moe=experts.qwen_moe, qk_norm="heads", layers=mixers.qwen_next),
    "qwen3_5_text": Family(bias_key=_BIAS, qk_norm="heads", layers=mixers.qwen_next),
    "qwen3_next": Family(
        bias_key=_BIAS,
        moe=experts.qwen_moe,
        qk_norm="heads",
        layers=mixers.qwen_next,
        defaults={"head_dim": 256, "num_key_value_heads": 2},
    ),
    "seed_oss": Family(bias_key=("attention_bias", True, "qkv")),
    "smollm3": Family(tied=True, bias_key=_BIAS, defaults={"num_key_value_heads": 4}),
    "bloom": Family(
        tied=True,
        gated=False,
        bias="all",
        norm="layernorm",
        position="alibi",
        four_h=True,
        defaults={"seq_length": 2048},
    ),
    "cohere": Family(tied=True, norm="layernorm", bias_key=_BIAS),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "falcon": Family(
        tied=True,
        gated=False,
        bias_key=("bias", False, "all"),
        norm="layernorm",
        four_h=True,
        defaults={"max_position_embeddings": 2048},
    ),
    "gemma": Family(tied=True, bias_key=_BIAS, defaults={"head_dim": 256, "num_key_value_heads": 16}),
    "gemma2": Family(
        tied=True,
        bias_key=_BIAS,
        window=_full_every("sliding_window_pattern", 2),
        norms=4,
        defaults={"head_dim": 256, "num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "gemma3_text": Family(
        tied=True,
        bias_key=_BIAS,
        window=_full_every("sliding_window_pattern", 6),
        norms=4,
        qk_norm="heads",
        defaults=_GEMMA3_TEXT,
    ),
    "glm4_moe": Family(
        moe=experts.deepseek_moe,
        bias_key=_BIAS,
        qk_norm="heads",
        qk_key=("use_qk_norm", False),
        defaults={"num_key_value_heads": 8},
    ),
    "gpt2": Family(
        tied=True,
        gated=False,
        bias="all",
        norm="layernorm",
        position="learned",
        four_h=True,
        dropout={"attn_pdrop": 0.1, "resid_pdrop": 0.1},
        check=_check_gpt2,
    ),
    "gpt_neox": Family(gated=False, bias="all", norm="layernorm", check=_check_gpt_neox),
    "gpt_oss": Family(
        bias="all",
        moe=experts.gpt_oss_moe,
        sinks=True,
        window=_full_every("sliding_window_pattern", 2),
        defaults={"head_dim": 64, "num_key_value_heads": 8, "sliding_window": 128},
    ),
    "internlm2": Family(bias_key=("bias", False, "qkv")),
    "kimi_k2": _DEEPSEEK,
    "llama": _LLAMA,
    "llama4_text": Family(
        bias_key=_BIAS,
        moe=experts.llama4_moe,
        window=_llama4_pattern,
        defaults={"head_dim": 128, "num_key_value_heads": 8, "attention_chunk_size": 8192},
    ),
    "minimax_m2": Family(
        moe=experts.uniform_moe,
        qk_norm="wide",
        qk_key=("use_qk_norm", True),
        defaults={"head_dim": 128, "num_key_value_heads": 8},
    ),
    "mistral": Family(window=_no_full_layers, defaults={"num_key_value_heads": 8}),
    "mixtral": Family(window=_no_full_layers, moe=experts.uniform_moe, defaults={"num_key_value_heads": 8}),
    "nemotron": Family(gated=False, activation="relu2", norm="layernorm", bias_key=_BIAS),
    "olmo": Family(norm="layernorm", bias_key=_BIAS),
    "olmo2": Family(bias_key=_BIAS, qk_norm="wide"),
    "olmoe": Family(moe=experts.uniform_moe, bias_key=_BIAS, qk_norm="wide"),
    "opt": Family(
        tied=True,
        gated=False,
        activation="relu",
        bias_key=("enable_bias", True, "all"),
        norm="layernorm",
        position="learned",
        dropout={"dropout": 0.1},
        check=_check_opt,
    ),
    "phi": Family(gated=False, bias="all", norm="layernorm", dropout={"attention_dropout": 0.0}),
    "phi3": Family(window=_no_full_layers),
    "qwen2": Family(bias="qkv", window=_qwen_pattern, defaults={"num_key_value_heads": 32, "sliding_window": 4096}),
    "qwen2_moe": Family(
        bias_key=("qkv_bias", True, "qkv"),
        moe=experts.qwen_moe,
        window=_qwen2_moe_pattern,
        defaults={"num_key_value_heads": 16, "sliding_window": 4096},
    ),
    "qwen3": Family(
        bias_key=_BIAS,
        window=_qwen_pattern,
        qk_norm="heads",
        defaults={"head_dim": 128, "num_key_value_heads": 32, "sliding_window": 4096},
    ),
    "qwen3_moe": Family(
        bias_key=_BIAS,
        moe=experts.qwen_moe,
        window=_optional_window,
        qk_norm="heads",
        defaults={"num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "stablelm": Family(norm="layernorm", bias_key=("use_qkv_bias", False, "qkv"), defaults={"num_key_value_heads": 32}),
    "starcoder2": Family(
        tied=True,
        gated=False,
        bias_key=("use_bias", True, "all"),
        norm="layernorm",
        window=_no_full_layers,
        defaults={"num_key_value_heads": 2},
    ),
}
"""Every `model_type` that is read."""
