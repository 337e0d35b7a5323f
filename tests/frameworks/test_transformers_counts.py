"""Parameters of every family against Transformers' own classes, built without storage; skipped where it is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.blocks.counts import parameters
from planner.catalog.huggingface import read_config
from planner.catalog.huggingface_families import FAMILIES
from tests.catalog.test_huggingface_families import PUBLISHED

torch: Any = pytest.importorskip("torch", reason="torch is not installed")
transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed")

NOT_COUNTED = {
    "afmoe": 1e-6,  # a correction of each expert's score
    "apertus": 1e-7,  # two scalars of each activation function
    "axk1": 1e-6,  # a norm behind each part with experts
    "bloom": 2e-5,  # a norm behind the embedding
    "codegen": 1e-4,  # one norm per layer; biases of the feed-forward part and of the head
    "cohere": 4e-5,  # one norm without bias per layer, of which two with bias are counted
    "cohere2": 4e-5,
    "ernie4_5_moe": 1e-6,  # a correction of each expert's score, trained by its load
    "gemma4_text": 1e-5,  # three norms more beside experts
    "jamba": 1e-5,  # norms of the step, B and C
    "lfm2_moe": 1e-6,  # a correction of each expert's score
    "falcon_h1": 1e-5,  # no norm behind the scan, unless mamba_rms_norm
    "falcon": 5e-5,  # one norm per layer
    "gpt_neo": 2e-4,  # no biases of queries, keys and values
    "gptj": 1e-4,  # as codegen
    "mpt": 1e-4,  # norms without biases
    "olmo": 1e-4,  # norms without weights
    "opt": 2e-5,  # two positions more
    "persimmon": 1e-6,  # norms of queries and keys have biases
    "phi": 4e-5,  # one norm per layer
    "phimoe": 1e-5,  # the bias of attention's output product
}
"""Families of which the count is off by a hair, and why."""

NO_DEFAULT = ("dbrx", "deepseek_v2", "dots1", "exaone4", "glm4_moe", "hunyuan_v1_dense", "hunyuan_v1_moe", "ministral")
NO_DEFAULT += ("gemma4_text", "lfm2_moe", "longcat_flash", "mistral4", "nemotron", "step3p5")
"""Types whose class builds nothing of its own defaults, or that leave a key open."""


def written(folder: Path, kind: str, values: dict[str, Any]) -> tuple[float, int]:
    """What the planner counts of a configuration, and what the class holds."""
    config = transformers.AutoConfig.for_model(kind, **values)
    text = json.dumps(config.to_dict() | {"model_type": kind}, default=str)
    (folder / "config.json").write_text(text.replace("Infinity", "1e9"), encoding="utf-8")
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    return parameters(read_config(folder)).total, sum(one.numel() for one in model.parameters())


def known() -> list[str]:
    """Types of the planner that this release of Transformers has a class for."""
    return [kind for kind in FAMILIES if kind in transformers.CONFIG_MAPPING and kind not in NO_DEFAULT]


@pytest.mark.parametrize("kind", known())
def test_the_class_of_its_own_defaults(tmp_path: Path, kind: str) -> None:
    """The same count to the last parameter."""
    ours, theirs = written(tmp_path, kind, {})
    assert ours == pytest.approx(theirs, rel=NOT_COUNTED.get(kind, 0.0), abs=0.0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_released_models(tmp_path: Path, name: str) -> None:
    """Models that people train, to the last parameter."""
    values = {key: value for key, value in PUBLISHED[name][0].items() if value is not None}
    kind = values.pop("model_type")
    if kind not in transformers.CONFIG_MAPPING or kind in NO_DEFAULT:
        pytest.skip(f"no class for {kind}")
    ours, theirs = written(tmp_path, kind, values)
    assert ours == pytest.approx(theirs, rel=NOT_COUNTED.get(kind, 0.0), abs=0.0)
