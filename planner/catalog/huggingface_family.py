"""What a Hugging Face `model_type` may say of its models: which layers have a window, and the rest of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from planner.catalog.huggingface_config import Config
from planner.frozen import frozen
from planner.schema.model import MixtureOfExperts

Bias = Literal["none", "qkv", "all"]
Moe = Callable[[Config], "MixtureOfExperts | None"]
Pattern = Callable[[Config, int], "list[bool]"]


def no_full_layers(config: Config, layers: int) -> list[bool]:
    return [False] * layers


def full_every(default: int, key: str = "sliding_window_pattern") -> Pattern:
    """One layer in `config[key]` attends to everything."""

    def pattern(config: Config, layers: int) -> list[bool]:
        every = config.integer(key, f"_{key}") or default
        return [(i + 1) % every == 0 for i in range(layers)]

    return pattern


def qwen_pattern(config: Config, layers: int) -> list[bool]:
    """The window starts at layer `max_window_layers`, if it is used at all."""
    first = config.whole("max_window_layers", layers) if config.flag("use_sliding_window") else layers
    return [i < first for i in range(layers)]


def qwen2_moe_pattern(config: Config, layers: int) -> list[bool]:
    if config.flag("use_sliding_window"):
        raise config.refuse("use_sliding_window", "alternating windows up to max_window_layers are not expressed")
    return [True] * layers


def first_layers(config: Config, layers: int) -> list[bool]:
    """Without a list of kinds, the window starts at `max_window_layers`."""
    return [i < config.whole("max_window_layers", layers) for i in range(layers)]


def exaone_pattern(config: Config, layers: int) -> list[bool]:
    """Letters L (window) and G, repeated; or one full layer in so many."""
    written = config.values.get("sliding_window_pattern")
    if isinstance(written, str):
        return [written[i % len(written)] == "G" for i in range(layers)] if written else [True] * layers
    return full_every(4)(config, layers)


def optional_window(config: Config, layers: int) -> list[bool]:
    return [not config.flag("use_sliding_window")] * layers


def gpt_neo_pattern(config: Config, layers: int) -> list[bool]:
    """Lists of kinds, each with how often it is repeated."""
    groups = config.listed("attention_types") or [[["global", "local"], layers]]
    if not all(isinstance(group, list) and len(group) == 2 and isinstance(group[0], list) for group in groups):
        raise config.refuse("attention_types", "it is not a list of kinds and how often they are repeated")
    kinds = [kind for names, times in groups for kind in names * min(times, layers)]
    return [kind == "global" for kind in kinds[:layers]]


def llama4_pattern(config: Config, layers: int) -> list[bool]:
    """Layers without rotary position attend to everything, the others to their chunk."""
    chunked = config.listed("no_rope_layers")[:layers]
    return [not rope for rope in chunked] if chunked else full_every(4, "no_rope_layer_interval")(config, layers)


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
        inside: keys whose values hold further ones of the decoder. note: what is left out.
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
    inside: tuple[str, ...] = ()
    note: str = ""
    check: Callable[[Config], None] | None = None


def check_opt(config: Config) -> None:
    if config.integer("word_embed_proj_dim") not in (None, config.need("hidden")):
        raise config.refuse("word_embed_proj_dim", "embeddings narrower than the layers are not expressed")
    if not config.flag("do_layer_norm_before", True):
        raise config.refuse("do_layer_norm_before", "norms behind the layers are not expressed")


def check_gpt2(config: Config) -> None:
    if config.flag("add_cross_attention"):
        raise config.refuse("add_cross_attention", "cross attention is not expressed")


def check_gpt_neox(config: Config) -> None:
    if not config.flag("attention_bias", True):
        raise config.refuse("attention_bias", "bias in the feed-forward part alone is not expressed")
