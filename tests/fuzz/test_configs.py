"""config.json, and configurations of frameworks, with any value under any key."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import ask, cases, kept
from tests.read.corpus import SAMPLES, Sample

SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
MORE = {"num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 512}
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2}
FURTHER = {"moe_intermediate_size": 64, "sliding_window": 128, "first_k_dense_replace": 1, "head_dim": 16}
TYPES = (
    "llama",
    "mixtral",
    "qwen2_moe",
    "deepseek_v3",
    "gpt2",
    "gemma3",
    "llama4",
    "gemma2",
    "gpt_oss",
    "falcon",
    "phi3",
)
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**7) | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
WHOLE = SIZES | MORE | EXPERTS | FURTHER | {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 16}
CONFIG = WHOLE | {"qk_rope_head_dim": 8, "v_head_dim": 16, "text_config": WHOLE, "layer_types": ["full_attention"] * 2}


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from([*CONFIG, "model_type"]), VALUE, max_size=3))
@cases(40)
def test_any_config(kind: str, changes: dict[str, Any]) -> None:
    """A model or one screen."""
    text = json.dumps(CONFIG | {"model_type": kind} | changes)
    kept(ask(["recommend", "-m", "config.json", "-g", "2xA100", "-q", "--json"], {"config.json": text}))


@given(st.text(max_size=40) | st.binary(max_size=40) | st.text('{}[]":,0e1tfn', max_size=40))
@cases(30)
def test_no_json(content: str | bytes) -> None:
    """Any bytes."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    kept(ask(["recommend", "-m", "config.json", "-g", "2xA100", "-q"], {"config.json": data}))


ODD = ("-1", "0", "null", "true", "[1, 2]", "{}", "1e400", "9" * 21, '"x"', "auto", "${a}", "$X", "nan", "''", "0x10")
"""Values that a key may have by mistake."""


@given(
    sample=st.sampled_from(SAMPLES),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from(ODD)), min_size=1, max_size=3),
)
@cases(12)
def test_configurations_of_frameworks(sample: Sample, places: list[tuple[float, str]]) -> None:
    """Any value anywhere: an answer or one screen."""
    text = sample.text
    for share, odd in places:
        words = list(re.finditer(r"(?<=[ =:])[\w./\"-]+", text))
        if words:
            word = words[int(share * len(words))]
            text = f"{text[: word.start()]}{odd}{text[word.end() :]}"
    kept(ask(["check", "main.txt", "--gpus", sample.gpus, "--json"], {**sample.files, "main.txt": text}))
