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


def _full_every(default: int, key: str = "sliding_window_pattern") -> Pattern:
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
    return _full_every(4)(config, layers)


def _optional_window(config: Config, layers: int) -> list[bool]:
    return [not config.flag("use_sliding_window")] * layers


def _llama4_pattern(config: Config, layers: int) -> list[bool]:
    """Layers without rotary position attend to everything, the others to their chunk."""
    chunked = config.listed("no_rope_layers")[:layers]
    return [not rope for rope in chunked] if chunked else _full_every(4, "no_rope_layer_interval")(config, layers)


@frozen
class Family:
    """What a `model_type` says about its models beyond the numbers in the file.

    Attributes:
        tied: class default of tie_word_embeddings.
        gated: three feed-forward matrices; otherwise two and the activation named in the file, or `activation`.
        bias: of every model; bias_key: a switch in the file, its default, and the bias that it switches on; None: none.
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
    bias_key: tuple[str, bool, Bias] | None = ("attention_bias", False, "qkv")
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


_LLAMA = Family()
_DEEPSEEK = Family(moe=experts.deepseek_moe, mla=True)
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
    "arcee": Family(gated=False, activation="relu2"),
    "bailing_moe": Family(moe=experts.deepseek_moe, bias_key=("use_qkv_bias", False, "qkv")),
    "bailing_moe_v2": Family(
        moe=experts.deepseek_moe, bias_key=("use_qkv_bias", False, "qkv"), qk_norm="heads", qk_key=("use_qk_norm", True)
    ),
    "bloom": Family(
        tied=True,
        gated=False,
        bias="all",
        norm="layernorm",
        position="alibi",
        four_h=True,
        defaults={"seq_length": 2048},
        bias_key=None,
    ),
    "cohere": Family(tied=True, norm="layernorm"),
    "cohere2": Family(tied=True, norm="layernorm", window=_full_every(4)),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "deepseek_v32": _DEEPSEEK,
    "dots1": Family(moe=experts.deepseek_moe, qk_norm="heads", window=_first_layers),
    "ernie4_5": Family(tied=True, bias_key=("use_bias", False, "all")),
    "ernie4_5_moe": Family(tied=True, bias_key=("use_bias", False, "all"), moe=experts.ernie_moe),
    "exaone4": Family(window=_exaone_pattern, qk_norm="heads", bias_key=None),
    "falcon": Family(
        tied=True,
        gated=False,
        bias_key=("bias", False, "all"),
        norm="layernorm",
        four_h=True,
        defaults={"max_position_embeddings": 2048},
    ),
    "gemma": Family(tied=True, defaults={"head_dim": 256, "num_key_value_heads": 16}),
    "gemma2": Family(
        tied=True,
        window=_full_every(2),
        norms=4,
        defaults={"head_dim": 256, "num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "gemma3_text": Family(tied=True, window=_full_every(6), norms=4, qk_norm="heads", defaults=_GEMMA3_TEXT),
    "glm": Family(bias_key=("attention_bias", True, "qkv")),
    "glm4": Family(norms=4),
    "glm4_moe": Family(
        moe=experts.deepseek_moe, qk_norm="heads", qk_key=("use_qk_norm", False), defaults={"num_key_value_heads": 8}
    ),
    "glm4_moe_lite": _DEEPSEEK,
    "glm_moe_dsa": _DEEPSEEK,
    "gpt2": Family(
        tied=True,
        gated=False,
        bias="all",
        norm="layernorm",
        position="learned",
        four_h=True,
        dropout={"attn_pdrop": 0.1, "resid_pdrop": 0.1},
        check=_check_gpt2,
        bias_key=None,
    ),
    "gpt_neox": Family(gated=False, bias="all", norm="layernorm", check=_check_gpt_neox, bias_key=None),
    "gpt_oss": Family(
        bias="all",
        moe=experts.gpt_oss_moe,
        sinks=True,
        window=_full_every(2),
        defaults={"head_dim": 64, "num_key_value_heads": 8, "sliding_window": 128},
        bias_key=None,
    ),
    "granite": _LLAMA,
    "granitemoe": Family(moe=experts.uniform_moe),
    "granitemoehybrid": Family(
        position="none",
        layers=mixers.granite,
        defaults={"mamba_expand": 2, "mamba_n_heads": 128, "mamba_d_state": 256, "shared_intermediate_size": 1024},
    ),
    "hunyuan_v1_dense": Family(tied=True, qk_norm="heads", qk_key=("use_qk_norm", True)),
    "hunyuan_v1_moe": Family(
        tied=True,
        qk_norm="heads",
        qk_key=("use_qk_norm", True),
        moe=experts.hunyuan_moe,
        defaults={"num_shared_expert": 1},
    ),
    "internlm2": Family(bias_key=("bias", False, "qkv")),
    "internlm3": Family(bias_key=("qkv_bias", False, "qkv")),
    "kimi_k2": _DEEPSEEK,
    "kimi_linear": Family(
        mla=True, moe=experts.deepseek_moe, position="none", layers=mixers.kimi_linear, bias_key=None
    ),
    "llama": _LLAMA,
    "llama4_text": Family(
        moe=experts.llama4_moe,
        window=_llama4_pattern,
        defaults={"head_dim": 128, "num_key_value_heads": 8, "attention_chunk_size": 8192},
    ),
    "mimo": Family(bias_key=("attention_bias", True, "qkv")),
    "minimax": Family(moe=experts.uniform_moe, layers=mixers.minimax, bias_key=None),
    "minimax_m1": Family(moe=experts.uniform_moe, layers=mixers.minimax, bias_key=None),
    "minimax_m2": Family(
        moe=experts.uniform_moe,
        qk_norm="wide",
        qk_key=("use_qk_norm", True),
        defaults={"head_dim": 128, "num_key_value_heads": 8},
        bias_key=None,
    ),
    "minimax_text_01": Family(moe=experts.uniform_moe, layers=mixers.minimax, bias_key=None),
    "ministral3": _LLAMA,
    "mistral": Family(window=_no_full_layers, defaults={"num_key_value_heads": 8}, bias_key=None),
    "mixtral": Family(
        window=_no_full_layers, moe=experts.uniform_moe, defaults={"num_key_value_heads": 8}, bias_key=None
    ),
    "nemotron": Family(gated=False, activation="relu2", norm="layernorm"),
    "nemotron_h": Family(gated=False, activation="relu2", position="none", layers=mixers.nemotron_h),
    "olmo": Family(norm="layernorm"),
    "olmo2": Family(qk_norm="wide"),
    "olmo3": Family(window=_full_every(4), qk_norm="wide", defaults={"sliding_window": 4096}),
    "olmoe": Family(moe=experts.uniform_moe, qk_norm="wide"),
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
    "phi": Family(gated=False, bias="all", norm="layernorm", dropout={"attention_dropout": 0.0}, bias_key=None),
    "phi3": Family(window=_no_full_layers, bias_key=None),
    "qwen2": Family(
        bias="qkv", window=_qwen_pattern, defaults={"num_key_value_heads": 32, "sliding_window": 4096}, bias_key=None
    ),
    "qwen2_moe": Family(
        bias_key=("qkv_bias", True, "qkv"),
        moe=experts.qwen_moe,
        window=_qwen2_moe_pattern,
        defaults={"num_key_value_heads": 16, "sliding_window": 4096},
    ),
    "qwen3": Family(
        window=_qwen_pattern,
        qk_norm="heads",
        defaults={"head_dim": 128, "num_key_value_heads": 32, "sliding_window": 4096},
    ),
    "qwen3_5_moe_text": Family(moe=experts.qwen_moe, qk_norm="heads", layers=mixers.qwen_next),
    "qwen3_5_text": Family(qk_norm="heads", layers=mixers.qwen_next),
    "qwen3_moe": Family(
        moe=experts.qwen_moe,
        window=_optional_window,
        qk_norm="heads",
        defaults={"num_key_value_heads": 4, "sliding_window": 4096},
    ),
    "qwen3_next": Family(
        moe=experts.qwen_moe,
        qk_norm="heads",
        layers=mixers.qwen_next,
        defaults={"head_dim": 256, "num_key_value_heads": 2},
    ),
    "seed_oss": Family(bias_key=("attention_bias", True, "qkv")),
    "smollm3": Family(tied=True, defaults={"num_key_value_heads": 4}),
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
