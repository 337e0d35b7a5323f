"""One Hugging Face config.json as a mapping that knows its synonyms and complains by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from planner.catalog.yamlfile import table
from planner.errors import PlannerError, ProfileError
from planner.frozen import frozen

SAID = table("catalog", "huggingface_families.yaml")
KEYS: dict[str, list[str]] = SAID["keys"]
"""Names under which config files carry each field, most common first."""

Fields = dict[str, Any]
"""Fields of a Model, or of a record inside it, beyond those that every decoder has."""


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
        keys = KEYS.get(name, [name])
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

    def over(self, **values: Any) -> Config:
        """The file with other values of some keys."""
        return Config(self.file, {**self.values, **values})

    def shape(self, name: str) -> Fields:
        """A record's fields, by the keys of the table `shapes`."""
        return self.fields(SAID["shapes"][name])

    def fields(self, how: Mapping[str, Any]) -> Fields:
        """Fields as a table says them: a key that has to be there, [key, default], or what no key says."""
        return {name: self._said(one) for name, one in how.items()}

    def _said(self, how: Any) -> Any:
        *keys, last = how if isinstance(how, list) else [how]
        if isinstance(last, dict):
            return self.fields(last)
        if isinstance(last, str):
            return self.integer(*keys) or self.need(last)
        if not keys:
            return last
        if isinstance(last, bool):
            return self.flag(keys[0], last)
        if last is None:
            return self.integer(*keys)
        return self.whole(next((key for key in keys if self.values.get(key) is not None), keys[0]), last)

    def refuse(self, key: str, why: str) -> UnsupportedArchitecture:
        value = json.dumps(self.values.get(key))
        return UnsupportedArchitecture(
            f"{self.file}: {key}: {value[:60]}: {why}", "write it as a YAML profile if it fits"
        )
