"""Names of repositories that hold a known model's weights in fewer bits: "Qwen3-32B-AWQ", "DeepSeek-R1-NVFP4"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.schema.formats import WeightType

ENDINGS: dict[str, WeightType] = {
    r"fp8(?:[-_](?:dynamic|static|block|kv|pertensor))*": "fp8",
    r"(?:nv)?fp4": "nvfp4",
    r"mxfp4": "mxfp4",
    r"(?:awq|gptq|autoround|qat|(?:unsloth[-_])?bnb)?[-_]?(?:int4|4bit|w4a16)|awq|quantized\.w4a16": "int4",
    r"(?:int8[-_])?w8a8(?:[-_]int8)?|quantized\.w8a8": "w8a8",
    r"(?:gptq|bnb)?[-_]?(?:int8|8bit|w8a16)|quantized\.w8a16": "int8",
    "bf16": "bf16",
}
"""What stands behind a model's name, and the format that it says."""

RETOLD = re.compile(r"(?i)^huihui[-_]|[-_](?:abliterated|uncensored)(?:[-_]v\d+)?$")
"""What stands about the name of a model in copies that answer otherwise and have its shape."""


def unquantized(name: str) -> tuple[str, WeightType] | None:
    """The name without its ending, and the format of that; None where there is none.

    "nvidia/DeepSeek-R1-NVFP4" is "nvidia/DeepSeek-R1" in nvfp4.
    """
    for ending, weights in ENDINGS.items():
        match = re.fullmatch(rf"(.*?[^-_.])[-_.](?:{ending})", name[:200], re.IGNORECASE | re.DOTALL)
        if match:
            return match[1], weights
    return None
