"""What a config.json says of the vision tower before its decoder, family by family, where it is more than keys.

Keys, defaults and modules are those of transformers, src/transformers/models/<model_type>/modeling_<model_type>.py, or
of the file beside the weights where a model has its own code; those that are keys alone are rows of `towers` in
huggingface_families.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from planner.catalog.huggingface_config import SAID, Config, Fields
from planner.errors import PlannerError
from planner.schema.tower import Tower
from planner.wording import schema_problem

TOWERS = (
    "vision_config",
    "audio_config",
    "vision_tower",
    "mm_vision_tower",
    "img_processor",
    "embd_layer",
    "encoder_config",
    "vit_config",
    "thinker_config",
    "talker_config",
)
"""Keys that say of encoders before the decoder."""

READERS = {kind: name for name, row in SAID["towers"].items() for kind in row["of"]}
"""Readers by the `model_type` of a whole file."""

SIDES = ("patch_size", "image_size", "temporal_patch_size", "merge_kernel_size")
"""Keys that have a number, or a list of which all are the same."""


def read_tower(kind: str, top: dict[str, Any], file: str, hidden: int) -> tuple[Tower | None, str]:
    """The tower of a file, or none and why it is left out; "" where there is nothing to say."""
    there = [key for key in TOWERS if top.get(key) is not None]
    if not there:
        return None, ""
    values, reader = top.get("vision_config"), READERS.get(kind)
    if reader is None or not isinstance(values, dict):
        return None, f"{', '.join(there)}: what stands before the decoder is left out."
    more = "" if there == ["vision_config"] else "What takes in sound is left out."
    values = {key: _square(key.removeprefix("vt_"), value) for key, value in values.items()}
    config = Config(f"{file}: vision_config", values)
    try:
        fields = FIELDS[reader](config, Config(file, top), hidden)
        return Tower.model_validate(_row(reader, config) | fields), more
    except PlannerError as error:
        return None, f"Its vision tower is left out: {str(error).removeprefix(f'{file}: ')}."
    except ValidationError as error:
        return None, f"Its vision tower is left out: {schema_problem(error.errors()[0])}."


def _square(key: str, value: Any) -> Any:
    """The one number of a list that says it for each side."""
    return value[0] if key in SIDES and isinstance(value, list) and len(set(map(str, value))) == 1 else value


def _row(reader: str, config: Config) -> Fields:
    """What a row of `towers` says."""
    row: dict[str, Fields] = SAID["towers"][reader]
    return config.fields(row.get("keys", {})) | row.get("is", {})


def _projector(*widths: int, norm: int = 0, bias: bool = True) -> Fields:
    """Products from width to width, an activation function between each two."""
    products = [{"inputs": inputs, "outputs": outputs, "bias": bias} for inputs, outputs in pairwise(widths)]
    return {"products": products, "norm": norm}


def _merged(config: Config, hidden: int, norms: int) -> tuple[Fields, int]:
    """An encoder whose patches are merged by squares and go through two products; and the width of a square."""
    own, merge = config.need("hidden_size"), config.integer("spatial_merge_size") or 2
    wide = own * merge**2
    projectors = [_projector(wide, wide, hidden, norm=norms * own)]
    return config.shape("tower") | {"merge": merge, "projectors": projectors}, wide


def _qwen2(config: Config, top: Config, hidden: int) -> Fields:
    """Qwen2-VL: `hidden_size` is the decoder's width, `embed_dim` the tower's own."""
    own = config.need("embed_dim")
    inside = config.over(hidden_size=own, intermediate_size=own * (config.integer("mlp_ratio") or 4))
    return _merged(inside, hidden, 2)[0]


def _qwen2_5(config: Config, top: Config, hidden: int) -> Fields:
    """Qwen2.5-VL: windows in all layers but those of `fullatt_block_indexes`."""
    found, _ = _merged(config, hidden, 1)
    full = config.listed("fullatt_block_indexes")
    every = full[0] + 1 if full and type(full[0]) is int else 0
    if full != list(range(every - 1, found["layers"], every or 1)):
        raise config.refuse("fullatt_block_indexes", "only one layer in so many can attend to all")
    return found | {"window": (config.need("window_size") // found["patch"]) ** 2, "window_every": every}


def _qwen3(config: Config, top: Config, hidden: int) -> Fields:
    """Qwen3-VL and Qwen3.5: learned positions; of DeepStack a projector for each of its layers, normed once merged."""
    found, wide = _merged(config, hidden, 2)
    if deep := len(config.listed("deepstack_visual_indexes")):
        found["projectors"].append(_projector(wide, wide, hidden, norm=2 * wide) | {"copies": deep})
    return found


def _fixed(config: Config) -> tuple[Fields, int]:
    """An encoder of images of one size, and its patches."""
    size, shape = config.need("image_size"), config.shape("tower")
    patches = (size // shape["patch"]) ** 2
    return shape | {"image": size, "positions": patches}, patches


def _gemma3(config: Config, top: Config, hidden: int) -> Fields:
    """SigLIP; squares of patches are averaged to `mm_tokens_per_image`, normed, and projected by one matrix."""
    if config.flag("vision_use_head"):
        raise config.refuse("vision_use_head", "a head that pools is not expressed")
    shape, patches = _fixed(config)
    merge = round((patches / (top.integer("mm_tokens_per_image") or 256)) ** 0.5)
    own = shape["hidden"]
    return shape | {"merge": merge, "projectors": [_projector(own, hidden, norm=own, bias=False)]}


def _paligemma(config: Config, top: Config, hidden: int) -> Fields:
    """PaliGemma: SigLIP, and one matrix with a bias."""
    shape, _ = _fixed(Config(config.file, {"image_size": 224, **config.values}))
    return shape | {"projectors": [_projector(shape["hidden"], hidden)]}


def _gemma4(config: Config, top: Config, hidden: int) -> Fields:
    """Gemma 4: positions by row and by column; squares of patches are averaged.

    Images are brought to about `default_output_length` tokens: the square that has no more of them. Norms behind each
    part and those of queries and keys are not counted (a ten-thousandth of it).
    """
    shape, merge = config.shape("tower"), config.integer("pooling_kernel_size") or 3
    side = int((config.integer("default_output_length") or 280) ** 0.5)
    found = {"positions": 2 * config.need("position_embedding_size"), "merge": merge}
    found |= {"image": side * merge * shape["patch"]}
    return shape | found | {"projectors": [_projector(shape["hidden"], hidden, bias=False)]}


def _shuffled(ratio: object, otherwise: int) -> int:
    """Patches of the side of a square that a ratio of pixels makes one token."""
    return round(1.0 / ratio) if isinstance(ratio, float) and 0.0 < ratio <= 1.0 else otherwise


def _llama4(config: Config, top: Config, hidden: int) -> Fields:
    """Llama 4: a class token; pixels are shuffled to a quarter of the tokens, two products, and the projector's own."""
    shape, patches = _fixed(config)
    merge = _shuffled(config.values.get("pixel_shuffle_ratio", 0.5), 0)
    if shape["hidden"] * merge**2 != shape["ffn"]:
        raise config.refuse("pixel_shuffle_ratio", "what is shuffled has to be as wide as intermediate_size")
    inside, out = config.need("projector_input_dim"), config.need("projector_output_dim")
    projector = _projector(shape["ffn"], inside, out, hidden, bias=False)
    projector["products"][-1]["bias"] = config.flag("multi_modal_projector_bias")
    return shape | {"positions": patches + 1, "merge": merge, "projectors": [projector]}


def _mistral3(config: Config, top: Config, hidden: int) -> Fields:
    """Mistral 3: Pixtral's encoder; four patches are merged by a product of their own before two others."""
    own, merge = config.need("hidden_size"), top.integer("spatial_merge_size") or 2
    projector = _projector(own * merge**2, own, hidden, hidden, norm=own, bias=top.flag("multimodal_projector_bias"))
    projector["products"][0]["bias"] = False
    return config.shape("tower") | {"merge": merge, "projectors": [projector]}


def _llava(config: Config, top: Config, hidden: int) -> Fields:
    """CLIP's encoder with a class token, or Pixtral's (Pixtral 12B), and two products."""
    bias = top.flag("multimodal_projector_bias", True)
    projectors = [_projector(config.need("hidden_size"), hidden, hidden, bias=bias)]
    kind = config.values.get("model_type")
    if kind == "pixtral":
        return config.shape("tower") | _row("pixtral", config) | {"projectors": projectors}
    if kind not in ("clip_vision_model", None) or type(top.values.get("vision_feature_layer", -2)) is not int:
        raise config.refuse("model_type", "only clip_vision_model and pixtral, one layer of them, are expressed")
    shape, patches = _fixed(config)
    return shape | {"positions": patches + 1, "class_tokens": 1, "norms_outside": 2, "projectors": projectors}


def _internvl(config: Config, top: Config, hidden: int) -> Fields:
    """InternViT: a class token, learned scales; a square of patches is normed and projected twice."""
    if config.flag("use_mask_token"):
        raise config.refuse("use_mask_token", "it is not expressed")
    shape, patches = _fixed(config)
    merge = _shuffled(top.values.get("downsample_ratio", 0.5), 1)
    wide = shape["hidden"] * merge**2
    return shape | {
        "positions": patches + 1,
        "bias": "all" if config.flag("qkv_bias", config.flag("attention_bias")) else "outputs",
        "qk_norm": config.flag("qk_normalization", config.flag("use_qk_norm")),
        "norm": "rmsnorm" if config.values.get("norm_type") == "rms_norm" else "layernorm",
        "merge": merge,
        "projectors": [_projector(wide, hidden, hidden, norm=2 * wide)],
    }


def _glm4v(config: Config, top: Config, hidden: int) -> Fields:
    """GLM-4.1V and 4.5V: `out_hidden_size` is the width of the encoder's gated parts; a convolution merges a square."""
    if config.flag("attention_bias"):
        raise config.refuse("attention_bias", "biases of attention alone are not expressed")
    own, out, inside = (config.need(key) for key in ("hidden_size", "out_hidden_size", "intermediate_size"))
    merged = own * (config.integer("spatial_merge_size") or 2) ** 2
    projector = _projector(merged, out, out, inside, out, norm=2 * out, bias=False)
    projector["products"][0]["bias"] = True
    projector["products"][2]["count"] = 2
    found, _ = _fixed(config.over(intermediate_size=out))
    return found | {"image": None, "projectors": [projector]}


def _moonvit(config: Config, top: Config, hidden: int) -> Fields:
    """Kimi-VL and Kimi K2.5: positions of a grid that is brought to an image's size."""
    config = Config(config.file, {key.removeprefix("vt_"): value for key, value in config.values.items()})
    grid = [config.integer(f"init_pos_emb_{side}", f"pos_emb_{side}") or 64 for side in ("height", "width")]
    found, _ = _merged(config.over(spatial_merge_size=config.integer("merge_kernel_size")), hidden, 2)
    return found | {"positions": grid[0] * grid[1]}


FIELDS: Mapping[str, Callable[[Config, Config, int], Fields]] = {
    "gemma3": _gemma3,
    "gemma4": _gemma4,
    "glm4v": _glm4v,
    "internvl": _internvl,
    "llama4": _llama4,
    "llava": _llava,
    "mistral3": _mistral3,
    "moonvit": _moonvit,
    "paligemma": _paligemma,
    "qwen2": _qwen2,
    "qwen2_5": _qwen2_5,
    "qwen3": _qwen3,
}
"""What a row of `towers` leaves to be read: of the tower's values, the file's and the decoder's width."""
