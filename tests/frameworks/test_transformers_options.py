"""The table of Hugging Face's Trainer against TrainingArguments itself; skipped where Transformers is missing."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest

from planner.read.table import Given, table, text_of

pytest.importorskip("torch", reason="torch is not installed")
transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed")

MEANT = {"fp16", "bf16"}
"""Off by default, which the reader names by itself: fp32 is weighed as bf16."""


def test_every_argument_has_a_row() -> None:
    """What a new release adds shows up here by name."""
    known = table("transformers")
    assert not [one.name for one in fields(transformers.TrainingArguments) if known.group(one.name) is None]


def test_no_default_is_named() -> None:
    """An argument at Transformers' own value says nothing."""
    given = []
    for one in fields(transformers.TrainingArguments):
        if one.default is not MISSING and one.default is not None and one.name not in MEANT:
            given.append(Given(one.name, text_of(getattr(one.default, "value", one.default))))
    assert not table("transformers").not_modelled(given)
