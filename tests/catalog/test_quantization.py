"""Formats of checkpoints: read from config.json as tools write it, and found by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.huggingface import read_config
from planner.catalog.huggingface_quantization import checkpoint, excluded, module
from planner.schema.model import Checkpoint
from tests.jobs import library

BLOCKS = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
PARTS = ("q", "k", "v", "o")
LLAMA_405B = [f"model.layers.{i}.self_attn.{p}_proj" for i in range(126) for p in PARTS] + [
    f"model.layers.{i}.mlp.{p}_proj" for i in (0, 125) for p in ("gate", "up", "down")
]
GPT_OSS = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
KIMI = ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]
LATENT = [f"model.layers.{i}.self_attn.{p}" for i in range(61) for p in ("q_a_proj", "q_b_proj", "kv_b_proj")]
GATES = [f"model.layers.{i}.{p}" for i in range(94) for p in ("mlp.gate", "input_layernorm")]


def tensors(bits: int, kind: str, size: int | None = None, **more: Any) -> dict[str, Any]:
    """compressed-tensors with one group."""
    weights = {"num_bits": bits, "type": kind, "group_size": size}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}, **more}


SMOOTH = {side: {"num_bits": 8, "type": "int"} for side in ("weights", "input_activations")}
"""llm-compressor's preset W8A8."""

W8A8 = {"weights": "w8a8"}

CASES: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "deepseek-v3": (61, BLOCKS, {"weights": "fp8"}),
    "qwen3 moe": (94, BLOCKS | {"modules_to_not_convert": ["lm_head", *GATES]}, {"weights": "fp8"}),
    "llama 405b": (
        126,
        {"quant_method": "fbgemm_fp8", "modules_to_not_convert": [*LLAMA_405B, "lm_head"]},
        {"weights": "fp8", "attention": "bf16", "wide_layers": 2},
    ),
    "gpt-oss": (
        36,
        {"quant_method": "mxfp4", "modules_to_not_convert": GPT_OSS},
        {"weights": "mxfp4", "attention": "bf16"},
    ),
    "kimi-k2.5": (
        61,
        tensors(4, "int", 32, ignore=KIMI),
        {"weights": "int4", "attention": "bf16", "mlp": "bf16", "shared": "bf16"},
    ),
    "modelopt": (
        61,
        {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head", *LATENT]},
        {"weights": "nvfp4", "kv": "fp8"},
    ),
    "first layer whole": (
        4,
        tensors(4, "float", 16, ignore=["model.layers.0*", "model.layers.1.self_attn*", "lm_head"]),
        {"weights": "nvfp4", "wide_layers": 1},
    ),
    "compressed fp8": (32, tensors(8, "float"), {"weights": "fp8"}),
    "compressed int8": (32, tensors(8, "int"), {"weights": "int8"}),
    "compressed w8a8": (32, {"config_groups": {"group_0": SMOOTH}, "quant_method": "compressed-tensors"}, W8A8),
    "modelopt smoothquant": (32, {"quant_algo": "W8A8_SQ_PER_CHANNEL"}, W8A8),
    "deepseek-r1 block int8": (61, {"quant_method": "blockwise_int8", "weight_block_size": [128, 128]}, W8A8),
    "compressed mxfp4": (32, tensors(4, "float", 32), {"weights": "mxfp4"}),
    "awq": (32, {"quant_method": "awq", "bits": 4}, {"weights": "int4"}),
    "gptq of 8 bits": (32, {"quant_method": "gptq", "bits": 8}, {"weights": "int8"}),
    "bitsandbytes": (32, {"quant_method": "bitsandbytes", "load_in_4bit": True}, {"weights": "int4"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_tools_write(name: str) -> None:
    """The quantization_config of a published checkpoint."""
    layers, stated, wanted = CASES[name]
    found, note = checkpoint({"quantization_config": stated}, layers, "x")
    assert found is not None and not note
    assert {k: v for k, v in found.model_dump(exclude_defaults=True).items() if k != "source"} == wanted


def test_no_quantization_and_an_unknown_one() -> None:
    """16-bit in both cases; the unknown one is named."""
    assert checkpoint({}, 4, "x") == (None, "")
    found, note = checkpoint({"quantization_config": {"quant_method": "aqlm"}}, 4, "x")
    assert found is None and "aqlm" in note


@given(st.dictionaries(st.sampled_from(["quant_method", "bits", "ignore", "config_groups", "quant_algo"]), st.text()))
@settings(max_examples=50, deadline=None)
def test_any_text_is_taken(stated: dict[str, str]) -> None:
    """What is not understood is 16-bit."""
    found, note = checkpoint({"quantization_config": stated}, 4, "x")
    assert found is None or isinstance(found, Checkpoint)
    assert note or found is not None or not stated


@given(st.lists(st.text(max_size=60)), st.integers(1, 100))
@settings(max_examples=50, deadline=None)
def test_any_list_is_taken(names: list[str], layers: int) -> None:
    """No entry breaks the reading, and no more layers are left out than there are."""
    assert 0 <= excluded(names, layers)[1] <= layers


def test_a_layer_is_not_its_prefix() -> None:
    """layers.1 and layers.12 are two."""
    assert module("model.layers.12.self_attn.o_proj") == (12, ("attention",))
    assert module("model.layers.1*")[0] == 1


def test_from_a_file(tmp_path: Path) -> None:
    """A config.json with the shape of Llama 8B."""
    shape = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336}
    shape |= {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}
    shape |= {"max_position_embeddings": 8192}
    for stated, weights in ((None, None), (BLOCKS, "fp8")):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(shape | {"quantization_config": stated}))
        own = read_config(path).checkpoint
        assert (own.weights if own else None) == weights


@pytest.mark.parametrize(
    ("name", "model", "weights"),
    [
        ("llama3.1-405b-fp8", "llama3.1-405b-fp8", "fp8"),
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", "llama3.1-405b-fp8", "fp8"),
        ("Llama-3.1-405B-Instruct-FP8", "llama3.1-405b-fp8", "fp8"),
        ("llama3.1-405b", "llama3.1-405b", None),
        ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b-a22b-fp8", "fp8"),
        ("deepseek-v3", "deepseek-v3", "fp8"),
        ("kimi-k2", "kimi-k2", "fp8"),
        ("gpt-oss-20b", "gpt-oss-20b", "mxfp4"),
    ],
)
def test_found_by_name(name: str, model: str, weights: str | None) -> None:
    """The plain name of a model means its own repository's weights, that of a checkpoint the checkpoint's."""
    found = library().model(name).value
    assert found.name == model
    assert (found.checkpoint.weights if found.checkpoint else None) == weights


def test_no_two_checkpoints_share_a_name() -> None:
    """Every name means one set of weights, and none of them is a model's."""
    books = library()
    models = [books.model(name).value for name in books.names("model")]
    names = [name.lower() for m in models for own in m.checkpoints for name in own.names]
    assert len(names) == len(set(names)) > 20
    assert not {m.name for m in models} & set(names)
