"""Fixtures of the frameworks."""

from __future__ import annotations

import pytest

from tests.frameworks.megatron import MegatronValidator


@pytest.fixture(scope="session")
def megatron() -> MegatronValidator:
    """Megatron's argument parser and checks."""
    return MegatronValidator()
