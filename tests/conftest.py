"""How many examples properties are tried on: `--hypothesis-profile=fuzz` asks for ten thousand."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fuzz", max_examples=10_000, deadline=None)
