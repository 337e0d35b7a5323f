"""What a config.json says of the vision tower before its decoder, family by family.

Keys, defaults and modules are those of transformers, src/transformers/models/<model_type>/modeling_<model_type>.py, or
of the file beside the weights where a model has its own code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from planner.catalog.huggingface_config import Config
from planner.errors import PlannerError
from planner.schema.tower import Linear, Projector, Tower
from planner.wording import schema_problem

Read = Callable[[Config, Config, int], Tower]
"""Of the tower's values, the file's and the decoder's width."""

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


def read_tower(kind: str, top: dict[str, Any], file: str, hidden: int) -> tuple[Tower | None, str]:
    """The tower of a file, or none and why it is left out; "" where there is nothing to say."""
    there = [key for key in TOWERS if top.get(key) is not None]
    if not there:
        return None, ""
    values, read = top.get("vision_config"), READERS.get(kind)
    if read is None or not isinstance(values, dict):
        return None, f"{', '.join(there)}: what stands before the decoder is left out."
    more = "" if there == ["vision_config"] else " What takes in sound is left out."
    try:
        return read(Config(f"{file}: vision_config", values), Config(file, top), hidden), more.strip()
    except PlannerError as error:
        return None, f"Its vision tower is left out: {str(error).removeprefix(f'{file}: ')}."
    except ValidationError as error:
        return None, f"Its vision tower is left out: {schema_problem(error.errors()[0])}."


def _side(config: Config, key: str, default: int | None = None) -> int:
    """A number, or a list of which all are the same."""
    value = config.values.get(key)
    if isinstance(value, list) and len(set(map(str, value))) == 1:
        value = value[0]
    return Config(config.file, {key: default if value is None else value}).need(key)


def _first(config: Config, *keys: str) -> int:
    """The first of these keys that is there; else the complaint is of the last."""
    return config.integer(*keys) or config.need(keys[-1])


def _shape(config: Config, ffn: int | None = None) -> dict[str, int]:
    """What every encoder has."""
    return {
        "layers": _first(config, "num_hidden_layers", "depth"),
        "hidden": config.need("hidden_size"),
        "ffn": ffn or config.need("intermediate_size"),
        "heads": _first(config, "num_attention_heads", "num_heads"),
        "patch": _side(config, "patch_size"),
        "channels": config.integer("in_channels", "in_chans", "num_channels") or 3,
    }


def _two(inputs: int, width: int, hidden: int, bias: bool = True) -> tuple[Linear, Linear]:
    """Two products with an activation function between them."""
    return (Linear(inputs=inputs, outputs=width, bias=bias), Linear(inputs=width, outputs=hidden, bias=bias))


def _qwen2(config: Config, top: Config, hidden: int) -> Tower:
    """Qwen2-VL: `hidden_size` is the decoder's width, `embed_dim` the tower's own."""
    own, merge = config.need("embed_dim"), config.integer("spatial_merge_size") or 2
    inside = Config(config.file, {**config.values, "hidden_size": own})
    ffn, wide = own * (config.integer("mlp_ratio") or 4), own * merge**2
    projector = Projector(products=_two(wide, wide, hidden), norm=2 * own)
    return Tower(
        **_shape(inside, ffn), frames=_side(config, "temporal_patch_size", 2), merge=merge, projectors=(projector,)
    )


def _qwen25(config: Config, top: Config, hidden: int) -> Tower:
    """Qwen2.5-VL: gated feed-forward parts, RMS norms, windows in all layers but those of `fullatt_block_indexes`."""
    own, merge, shape = config.need("hidden_size"), config.integer("spatial_merge_size") or 2, _shape(config)
    full = config.listed("fullatt_block_indexes")
    every = full[0] + 1 if full and type(full[0]) is int else 0
    if full != list(range(every - 1, shape["layers"], every or 1)):
        raise config.refuse("fullatt_block_indexes", "only one layer in so many can attend to all")
    return Tower(
        **shape,
        frames=_side(config, "temporal_patch_size", 2),
        mlp="glu",
        norm="rmsnorm",
        window=(config.need("window_size") // shape["patch"]) ** 2,
        window_every=every,
        merge=merge,
        projectors=(Projector(products=_two(own * merge**2, own * merge**2, hidden), norm=own),),
    )


def _qwen3(config: Config, top: Config, hidden: int) -> Tower:
    """Qwen3-VL and Qwen3.5: learned positions; of DeepStack a projector for each of its layers, normed once merged."""
    own, merge = config.need("hidden_size"), config.integer("spatial_merge_size") or 2
    wide, deep = own * merge**2, len(config.listed("deepstack_visual_indexes"))
    further = Projector(products=_two(wide, wide, hidden), norm=2 * wide, copies=deep) if deep else None
    return Tower(
        **_shape(config),
        frames=_side(config, "temporal_patch_size", 2),
        patch_bias=True,
        positions=config.need("num_position_embeddings"),
        merge=merge,
        projectors=(Projector(products=_two(wide, wide, hidden), norm=2 * own), *([further] if further else [])),
    )


def _fixed(config: Config) -> tuple[dict[str, Any], int]:
    """An encoder of images of one size, and its patches."""
    size, shape = _side(config, "image_size"), _shape(config)
    return {**shape, "image": size}, (size // shape["patch"]) ** 2


def _gemma3(config: Config, top: Config, hidden: int) -> Tower:
    """SigLIP; squares of patches are averaged to `mm_tokens_per_image`, normed, and projected by one matrix."""
    if config.flag("vision_use_head"):
        raise config.refuse("vision_use_head", "a head that pools is not expressed")
    shape, patches = _fixed(config)
    merge = round((patches / (top.integer("mm_tokens_per_image") or 256)) ** 0.5)
    return Tower(
        **shape,
        patch_bias=True,
        positions=patches,
        norms_outside=1,
        merge=merge,
        projectors=(Projector(products=(Linear(inputs=shape["hidden"], outputs=hidden),), norm=shape["hidden"]),),
    )


def _paligemma(config: Config, top: Config, hidden: int) -> Tower:
    """PaliGemma: SigLIP, and one matrix with a bias."""
    sized = Config(config.file, {"image_size": 224, **config.values})
    shape, patches = _fixed(sized)
    last = Linear(inputs=shape["hidden"], outputs=hidden, bias=True)
    more = {"patch_bias": True, "positions": patches, "norms_outside": 1}
    return Tower(**shape, **more, projectors=(Projector(products=(last,)),))


def _gemma4(config: Config, top: Config, hidden: int) -> Tower:
    """Gemma 4: gated parts, RMS norms, positions by row and by column; squares of patches are averaged.

    Images are brought to about `default_output_length` tokens: the square that has no more of them. Norms behind each
    part and those of queries and keys are not counted (a ten-thousandth of it).
    """
    shape, merge = _shape(config), config.integer("pooling_kernel_size") or 3
    side = int((config.integer("default_output_length") or 280) ** 0.5)
    return Tower(
        **shape,
        positions=2 * config.need("position_embedding_size"),
        mlp="glu",
        bias="none",
        norm="rmsnorm",
        merge=merge,
        image=side * merge * shape["patch"],
        projectors=(Projector(products=(Linear(inputs=shape["hidden"], outputs=hidden),)),),
    )


def _llama4(config: Config, top: Config, hidden: int) -> Tower:
    """Llama 4: a class token; pixels are shuffled to a quarter of the tokens, two products, and the projector's own."""
    shape, patches = _fixed(config)
    ratio = config.values.get("pixel_shuffle_ratio", 0.5)
    merge = round(1.0 / ratio) if isinstance(ratio, float) and 0.0 < ratio <= 1.0 else 0
    if shape["hidden"] * merge**2 != shape["ffn"]:
        raise config.refuse("pixel_shuffle_ratio", "what is shuffled has to be as wide as intermediate_size")
    inside, out = config.need("projector_input_dim"), config.need("projector_output_dim")
    last = Linear(inputs=out, outputs=hidden, bias=config.flag("multi_modal_projector_bias"))
    return Tower(
        **shape,
        positions=patches + 1,
        class_tokens=1,
        norms_outside=2,
        merge=merge,
        projectors=(Projector(products=(*_two(shape["ffn"], inside, out, False), last)),),
    )


def _pixtral(config: Config) -> dict[str, Any]:
    """Gated parts, RMS norms, no biases; images keep their size."""
    own = {"mlp": "glu", "bias": "none", "norm": "rmsnorm", "norms_outside": 1}
    return _shape(config) | own


def _mistral3(config: Config, top: Config, hidden: int) -> Tower:
    """Mistral 3: Pixtral's encoder; four patches are merged by a product of their own before two others."""
    own, merge = config.need("hidden_size"), top.integer("spatial_merge_size") or 2
    bias = top.flag("multimodal_projector_bias")
    products = (Linear(inputs=own * merge**2, outputs=own), *_two(own, hidden, hidden, bias))
    return Tower(**_pixtral(config), merge=merge, projectors=(Projector(products=products, norm=own),))


def _llava(config: Config, top: Config, hidden: int) -> Tower:
    """CLIP's encoder with a class token, or Pixtral's (Pixtral 12B), and two products."""
    own, bias = config.need("hidden_size"), top.flag("multimodal_projector_bias", True)
    projectors = (Projector(products=_two(own, hidden, hidden, bias)),)
    kind = config.values.get("model_type")
    if kind == "pixtral":
        return Tower(**_pixtral(config), projectors=projectors)
    if kind not in ("clip_vision_model", None) or type(top.values.get("vision_feature_layer", -2)) is not int:
        raise config.refuse("model_type", "only clip_vision_model and pixtral, one layer of them, are expressed")
    shape, patches = _fixed(config)
    return Tower(**shape, positions=patches + 1, class_tokens=1, norms_outside=2, projectors=projectors)


def _internvl(config: Config, top: Config, hidden: int) -> Tower:
    """InternViT: a class token, learned scales; a square of patches is normed and projected twice."""
    if config.flag("use_mask_token"):
        raise config.refuse("use_mask_token", "it is not expressed")
    shape, patches = _fixed(config)
    ratio = top.values.get("downsample_ratio", 0.5)
    merge = round(1.0 / ratio) if isinstance(ratio, float) and 0.0 < ratio <= 1.0 else 1
    wide = shape["hidden"] * merge**2
    return Tower(
        **shape,
        patch_bias=True,
        positions=patches + 1,
        class_tokens=1,
        bias="all" if config.flag("qkv_bias", config.flag("attention_bias")) else "outputs",
        qk_norm=config.flag("qk_normalization", config.flag("use_qk_norm")),
        norm="rmsnorm" if config.values.get("norm_type") == "rms_norm" else "layernorm",
        layer_scale=True,
        merge=merge,
        projectors=(Projector(products=_two(wide, hidden, hidden), norm=2 * wide),),
    )


def _glm4v(config: Config, top: Config, hidden: int) -> Tower:
    """GLM-4.1V and 4.5V: `out_hidden_size` is the width of the encoder's gated parts; a convolution merges a square."""
    if config.flag("attention_bias"):
        raise config.refuse("attention_bias", "biases of attention alone are not expressed")
    own, out = config.need("hidden_size"), config.need("out_hidden_size")
    merge = config.integer("spatial_merge_size") or 2
    inside, shape = config.need("intermediate_size"), _shape(config, out)
    merged = Linear(inputs=own * merge**2, outputs=out, bias=True)
    gated = (Linear(inputs=out, outputs=inside, count=2), Linear(inputs=inside, outputs=out))
    return Tower(
        **shape,
        frames=_side(config, "temporal_patch_size", 2),
        patch_bias=True,
        positions=(_side(config, "image_size") // shape["patch"]) ** 2,
        mlp="glu",
        bias="none",
        norm="rmsnorm",
        norms_outside=2,
        merge=merge,
        projectors=(Projector(products=(merged, Linear(inputs=out, outputs=out), *gated), norm=2 * out),),
    )


def _moonvit(config: Config, top: Config, hidden: int) -> Tower:
    """Kimi-VL and Kimi K2.5: positions of a grid that is brought to an image's size."""
    values = {key.removeprefix("vt_"): value for key, value in config.values.items()}
    config = Config(config.file, values)
    own, merge = config.need("hidden_size"), _side(config, "merge_kernel_size", 2)
    grid = [config.integer(f"init_pos_emb_{side}", f"pos_emb_{side}") or 64 for side in ("height", "width")]
    projector = Projector(products=_two(own * merge**2, own * merge**2, hidden), norm=2 * own)
    more = {"patch_bias": True, "positions": grid[0] * grid[1], "norms_outside": 1, "merge": merge}
    return Tower(**_shape(config), **more, projectors=(projector,))


READERS: dict[str, Read] = {
    "gemma3": _gemma3,
    "gemma4": _gemma4,
    "glm46v": _glm4v,
    "glm4v": _glm4v,
    "glm4v_moe": _glm4v,
    "internvl": _internvl,
    "internvl_chat": _internvl,
    "kimi_k25": _moonvit,
    "kimi_vl": _moonvit,
    "llama4": _llama4,
    "llava": _llava,
    "mistral3": _mistral3,
    "paligemma": _paligemma,
    "qwen2_5_vl": _qwen25,
    "qwen2_vl": _qwen2,
    "qwen3_5": _qwen3,
    "qwen3_5_moe": _qwen3,
    "qwen3_vl": _qwen3,
    "qwen3_vl_moe": _qwen3,
}
"""By the `model_type` of a whole file."""
