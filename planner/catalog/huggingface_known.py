"""Which `model_type` wraps which decoder, and which ones are refused and why: tables of the YAML file beside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from planner.catalog.yamlfile import table

_SAID = table("catalog", "huggingface_known.yaml")
_WHY: dict[str, str] = _SAID["why"]


def _by_type(table: str) -> dict[str, str]:
    return {kind: to for to, kinds in _SAID[table].items() for kind in kinds}


NESTED = _by_type("nested")
"""Types whose decoder is described by `text_config` or the like, as of the type on the right."""

DECODERS = _by_type("inside")
"""Types that stand inside, and the one that each is like."""

INSIDE = ("text_config", "llm_config", "language_config")
"""Keys that hold the decoder of a wrapper; of an omni model they stand in `thinker_config`."""

CLASS_DEFAULTS: dict[str, dict[str, Any]] = _SAID["defaults"]
"""Values of the keys that a wrapper's `text_config` leaves out."""

BIDIRECTIONAL = "its attention looks both ways: it is an encoder"

REFUSED = {kind: _WHY[short] for kind, short in _by_type("refused").items()}
"""Why a type is not read."""

NAMED = dict(sorted(_by_type("named").items()))
"""Names of models that are not read, by the type that says why: whole words of what people write."""


def why_refused(kind: str, top: Mapping[str, Any]) -> str:
    """By its type, or by what the file says of itself."""
    if kind in REFUSED:
        return REFUSED[kind]
    classes = top.get("architectures")
    masked = isinstance(classes, list) and any("MaskedLM" in str(one) for one in classes[:10])
    said = "encoder-decoder" if top.get("is_encoder_decoder") is True else "encoder" if masked else "unknown"
    return _WHY[said]


def named(name: str) -> str | None:
    """Why a model that is called so is not known here; None where nothing is known of it."""
    words = re.sub(r"[\W_]+", "-", name.lower()[:200])
    found = [key for key in NAMED if re.search(rf"(?<![a-z0-9]){re.sub('[.]', '-', key)}(?![a-z0-9])", words)]
    return REFUSED[NAMED[max(found, key=len)]] if found else None
