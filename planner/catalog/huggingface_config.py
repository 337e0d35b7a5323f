"""One Hugging Face config.json as a mapping that knows its synonyms and complains by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from planner.errors import PlannerError, ProfileError
from planner.frozen import frozen

KEYS: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "n_embed", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_n_heads", "num_attention_groups"),
    "head_dim": ("head_dim", "kv_channels"),
    "ffn": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "vocab": ("padded_vocab_size", "vocab_size"),
    "context": (
        "max_position_embeddings",
        "n_positions",
        "seq_length",
        "n_ctx",
        "model_max_length",
        "max_seq_len",
        "max_sequence_length",
    ),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    "top_k": ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k"),
}
"""Names under which config files carry each field, most common first."""


class UnsupportedArchitecture(PlannerError):
    """A config.json whose structure the planner's `Model` cannot express."""


@frozen
class Config:
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
