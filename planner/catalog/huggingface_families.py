"""What tells one Hugging Face `model_type` from another: which layers have a window, and the rest of a row.

The rows are those of the YAML file beside; what they name and this file has not is in huggingface_experts,
huggingface_mixers and huggingface_layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import Any, Literal

from planner.catalog import huggingface_experts, huggingface_layers, huggingface_mixers
from planner.catalog.huggingface_config import SAID, Config, Fields
from planner.frozen import frozen

Bias = Literal["none", "qkv", "all"]
Reader = Callable[[Config], "Fields | None"]
Pattern = Callable[[Config, int], "list[bool]"]


def never(config: Config, layers: int) -> list[bool]:
    return [False] * layers


def _every(default: int, key: str = "sliding_window_pattern") -> Pattern:
    """One layer in `config[key]` attends to everything."""

    def pattern(config: Config, layers: int) -> list[bool]:
        every = config.integer(key, f"_{key}") or default
        return [(i + 1) % every == 0 for i in range(layers)]

    return pattern


def qwen(config: Config, layers: int) -> list[bool]:
    """The window starts at layer `max_window_layers`, if it is used at all."""
    first = config.whole("max_window_layers", layers) if config.flag("use_sliding_window") else layers
    return [i < first for i in range(layers)]


def qwen2_moe(config: Config, layers: int) -> list[bool]:
    if config.flag("use_sliding_window"):
        raise config.refuse("use_sliding_window", "alternating windows up to max_window_layers are not expressed")
    return [True] * layers


def first_layers(config: Config, layers: int) -> list[bool]:
    """Without a list of kinds, the window starts at `max_window_layers`."""
    return [i < config.whole("max_window_layers", layers) for i in range(layers)]


def exaone(config: Config, layers: int) -> list[bool]:
    """Letters L (window) and G, repeated; or one full layer in so many."""
    written = config.values.get("sliding_window_pattern")
    if isinstance(written, str):
        return [written[i % len(written)] == "G" for i in range(layers)] if written else [True] * layers
    return _every(4)(config, layers)


def optional_window(config: Config, layers: int) -> list[bool]:
    return [not config.flag("use_sliding_window")] * layers


def gpt_neo(config: Config, layers: int) -> list[bool]:
    """Lists of kinds, each with how often it is repeated."""
    groups = config.listed("attention_types") or [[["global", "local"], layers]]
    if not all(isinstance(group, list) and len(group) == 2 and isinstance(group[0], list) for group in groups):
        raise config.refuse("attention_types", "it is not a list of kinds and how often they are repeated")
    kinds = [kind for names, times in groups for kind in names * min(times, layers)]
    return [kind == "global" for kind in kinds[:layers]]


def llama4(config: Config, layers: int) -> list[bool]:
    """Layers without rotary position attend to everything, the others to their chunk."""
    chunked = config.listed("no_rope_layers")[:layers]
    return [not rope for rope in chunked] if chunked else _every(4, "no_rope_layer_interval")(config, layers)


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
        layers, own: fields of layers that are more than attention; ffn: key of the dense width, where it is one's own.
        inside: keys whose values hold further ones of the decoder. note: what is left out.
        only: keys with the one value, or the number of the name, that `Model` expresses, and what the others mean.
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
    moe: Reader | None = None
    mla: bool = False
    norms: Literal[2, 4] = 2
    sinks: bool = False
    layers: Reader | None = None
    own: Mapping[str, Any] = field(default_factory=dict)
    ffn: str = ""
    four_h: bool = False
    qk_norm: Literal["", "heads", "wide"] = ""
    qk_key: tuple[str, bool] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    inside: tuple[str, ...] = ()
    note: str = ""
    only: Mapping[str, tuple[Any, str]] = field(default_factory=dict)


def _family(row: Mapping[str, Any]) -> Family:
    """A row, its names in place of what they stand for."""
    found, window = dict(row), row.get("window")
    if window is not None:
        found["window"] = globals()[window] if isinstance(window, str) else _every(*_several(window))
    if name := row.get("layers"):
        found["layers"] = getattr(huggingface_mixers, name, None) or getattr(huggingface_layers, name)
    if name := row.get("moe"):
        found["moe"] = getattr(huggingface_experts, name, None) or partial(Config.shape, name=name)
    return Family(**found)


def _several(window: int | list[Any]) -> list[Any]:
    return window if isinstance(window, list) else [window]


FAMILIES: dict[str, Family] = {kind: _family(row) for kind, row in SAID["families"].items()}
"""Every `model_type` that is read."""
